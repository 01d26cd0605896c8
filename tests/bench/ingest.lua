-- SPDX-License-Identifier: Apache-2.0
-- wrk's script: requests of about 300 bytes, each with an id that no other has. BATCH events a POST, as NDJSON.
local batch = tonumber(os.getenv("BATCH") or "1")
local pattern = '"tenant_id":"tenant-1","route":"chat_support_v1","model":"gpt-4o","timestamp":"%s","prompt_tokens":3123,'
    .. '"user_id_hash":"2f1c8a0b7d4e6f90a1b2c3d4e5f60718293a4b5c6d7e8f901a2b3c4d5e6f7081",'
    .. '"metadata":{"experiment":"prompt_v1","country":"SE"}}'
local run, rest, head, n

function init()
    local random = io.open("/dev/urandom", "rb")
    run = random:read(10):gsub(".", function(c) return string.format("%02x", c:byte()) end)
    random:close()
    rest = string.format(pattern, os.date("!%Y-%m-%dT%H:%M:%S.123Z"))
    n = 0
    wrk.method = "POST"
    wrk.headers["Content-Type"] = batch > 1 and "application/x-ndjson" or "application/json"
    local body = string.rep("x", batch * #line() + batch - 1)
    head = wrk.format(nil, nil, nil, body):sub(1, -#body - 1)
end

function line()
    n = n + 1
    local kind = batch > 1 and '{"type":"request","request_id":"' or '{"request_id":"'
    return kind .. run .. string.format("-%015x", n) .. '",' .. rest
end

function request()
    if batch == 1 then
        return head .. line()
    end
    local lines = {}
    for i = 1, batch do lines[i] = line() end
    return head .. table.concat(lines, "\n")
end
