// SPDX-License-Identifier: Apache-2.0
// As hour_p99.py, in Java. With kafka-clients, jackson-databind and HdrHistogram on the class path:
//
//     java -cp 'libs/*' HourP99.java BROKERS TOPIC 2026-11-21T06:00:00Z
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.HdrHistogram.Histogram;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

public class HourP99 {
    record Window(String key, Instant start) {}

    static class Model {
        long answers;
        final Histogram latency = new Histogram(1, 3_600_000_000L, 2); // µs, up to an hour
    }

    static KafkaConsumer<String, String> consumer(String brokers) {
        Properties p = new Properties();
        p.put("bootstrap.servers", brokers);
        // The default of the Java client, read_uncommitted, shows records that were never published.
        p.put("isolation.level", "read_committed");
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
    }

    static Map<Window, JsonNode> lastRevisions(String brokers, String topic, Instant hour) throws Exception {
        Map<Window, JsonNode> last = new HashMap<>();
        ObjectMapper json = new ObjectMapper();
        Instant end = hour.plus(Duration.ofHours(1));
        try (KafkaConsumer<String, String> consumer = consumer(brokers)) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(p -> new TopicPartition(topic, p.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions); // of what is committed
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofSeconds(1))) {
                    JsonNode row = json.readTree(r.value());
                    Instant start = Instant.parse(row.get("window_start").asText());
                    if (!start.isBefore(hour) && start.isBefore(end))
                        last.merge(new Window(r.key(), start), row, (a, b) ->
                            a.get("publish_seq").asLong() > b.get("publish_seq").asLong() ? a : b);
                }
            }
        }
        return last;
    }

    public static void main(String[] args) throws Exception {
        Map<String, Model> models = new TreeMap<>();
        for (JsonNode row : lastRevisions(args[0], args[1], Instant.parse(args[2])).values()) {
            Model m = models.computeIfAbsent(row.get("model").asText(), name -> new Model());
            m.answers += row.get("responses").asLong();
            if (!row.get("latency_hdr").isNull())
                m.latency.add(Histogram.decodeFromCompressedByteBuffer(
                    ByteBuffer.wrap(Base64.getDecoder().decode(row.get("latency_hdr").asText())), 0));
        }
        models.forEach((name, m) -> {
            if (m.latency.getTotalCount() > 0)
                System.out.println(name + "\t" + m.answers + "\t" + m.latency.getValueAtPercentile(99) / 1000.0);
        });
    }
}
