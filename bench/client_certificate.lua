-- Lets wrk present a client certificate, which it has no option for: OpenSSL tells whoever registered when a
-- connection is made, and that is the moment to hand it certificate and key. Nothing runs per request.
-- Arguments after "--": certificate (PEM), key (PEM), file of the request body.
local ffi = require("ffi")
ffi.cdef [[
typedef void (*new_connection)(void *ssl, void *p, void *data, int index, long argl, void *argp);
int CRYPTO_get_ex_new_index(int kind, long argl, void *argp, new_connection made, void *copy, void *free);
int SSL_use_certificate_file(void *ssl, const char *file, int type);
int SSL_use_PrivateKey_file(void *ssl, const char *file, int type);
]]
local KIND_SSL, PEM = 0, 1 -- openssl/crypto.h CRYPTO_EX_INDEX_SSL, openssl/ssl.h SSL_FILETYPE_PEM
local ssl, crypto = ffi.load("libssl.so.3"), ffi.load("libcrypto.so.3")

function init(arguments)
  local certificate, key = arguments[1], arguments[2]
  hook = ffi.cast("new_connection", function(connection)
    if ssl.SSL_use_certificate_file(connection, certificate, PEM) ~= 1
        or ssl.SSL_use_PrivateKey_file(connection, key, PEM) ~= 1 then
      io.stderr:write("the client certificate does not load\n")
      os.exit(3)
    end
  end)
  assert(crypto.CRYPTO_get_ex_new_index(KIND_SSL, 0, nil, hook, nil, nil) >= 0)
  local file = assert(io.open(arguments[3], "rb"))
  wrk.method, wrk.body = "POST", file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  file:close()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "max_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
