-- SPDX-License-Identifier: Apache-2.0
-- Asks wrk's target for 60 windows of a series. SERIES: of how many at random; 1: always the same.
local series = tonumber(os.getenv("SERIES"))
math.randomseed(os.time())
request = function()
  local i = math.random(0, series - 1)
  return wrk.format("GET", "/v1/metrics?tenant_id=bench&route=/r/" .. math.floor(i / 5) .. "&model=m-" .. i % 5)
end
