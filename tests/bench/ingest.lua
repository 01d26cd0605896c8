-- SPDX-License-Identifier: Apache-2.0
-- wrk's script: the requests of a file (make_requests.c), in turn, and over again.
local requests, n = {}, 0

function init()
    local file = io.open(os.getenv("REQUESTS"), "rb")
    while true do
        local length = file:read("*n")
        if not length then break end
        file:read(1)
        requests[#requests + 1] = file:read(length)
    end
    file:close()
end

function request()
    n = n % #requests + 1
    return requests[n]
end
