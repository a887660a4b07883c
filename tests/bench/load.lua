-- Asks for chat completions, each with a prompt of its own, looks at every answer, and prints one JSON object.
-- Arguments: "plain" or "streamed", what a whole answer must hold.
local asked, wrong, threads = 0, 0, {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  wanted, streamed = args[2], args[1] == "streamed"
  math.randomseed(os.time())
  run = math.random(1000000000)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  before, after = os.getenv("LOAD_BEFORE"), os.getenv("LOAD_AFTER")
  bad = 0
end

function request()
  asked = asked + 1
  return wrk.format(nil, nil, nil, before .. run .. "-" .. asked .. after)
end

function response(status, headers, body)
  if status ~= 200 or not body:find(wanted, 1, true) then
    bad = bad + 1
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  for _, thread in ipairs(threads) do
    wrong = wrong + thread:get("bad")
  end
  io.write(string.format('{"requests":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"broken":%d,"wrong":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.timeout, wrong))
end
