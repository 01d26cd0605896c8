-- SPDX-License-Identifier: Apache-2.0
-- Asks wrk's target for 60 windows of a series among 100 tenants, 20 routes and 5 models, chosen at random, or always
-- for the same one where SAME is set; for the fields that FIELDS names, or for all.
local same, fields = os.getenv("SAME"), os.getenv("FIELDS")
math.randomseed(os.time())
request = function()
  local tenant, route, model = math.random(0, 99), math.random(0, 19), math.random(0, 4)
  if same then tenant, route, model = 7, 3, 2 end
  return wrk.format("GET", string.format("/v1/metrics?tenant_id=tenant-%d&route=route-%d&model=model-%d&limit=60%s",
                                         tenant, route, model, fields and "&fields=" .. fields or ""))
end
