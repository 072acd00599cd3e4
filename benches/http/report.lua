-- What wrk writes at the end, for http.sh: requests/s, p50 and p99 in µs, answers, failures.
done = function(summary, latency, requests)
    local errors = summary.errors
    local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format("report %.0f %.0f %.0f %d %d\n",
        summary.requests / summary.duration * 1e6,
        latency:percentile(50), latency:percentile(99), summary.requests, failures))
end
