// SPDX-License-Identifier: Apache-2.0
// See README.md for what goes in and what comes out.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Base64;
import org.HdrHistogram.Histogram;

public class Interop {
    static String read(String text) throws Exception {
        Histogram h = Histogram.decodeFromCompressedByteBuffer(ByteBuffer.wrap(Base64.getDecoder().decode(text)), 0);
        return String.format("{\"total\": %d, \"p50\": %d, \"p90\": %d, \"p95\": %d, \"p99\": %d}", h.getTotalCount(),
                h.getValueAtPercentile(50), h.getValueAtPercentile(90), h.getValueAtPercentile(95),
                h.getValueAtPercentile(99));
    }

    static String make(String[] values) {
        Histogram h = new Histogram(1, 3600000000L, 2);
        for (String value : values)
            h.recordValue(Long.parseLong(value));
        ByteBuffer out = ByteBuffer.allocate(h.getNeededByteBufferCapacity());
        int n = h.encodeIntoCompressedByteBuffer(out);
        return Base64.getEncoder().encodeToString(Arrays.copyOf(out.array(), n));
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] words = line.split(" ");
            System.out.println(words[0].equals("read") ? read(words[1])
                                                       : make(Arrays.copyOfRange(words, 1, words.length)));
        }
    }
}
