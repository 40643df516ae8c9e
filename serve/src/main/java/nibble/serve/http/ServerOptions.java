package nibble.serve.http;

import java.time.Duration;
import java.util.Optional;
import java.util.Set;

/**
 * Says where and how to serve.
 *
 * @param host address to listen at; all of them for {@code 0.0.0.0}
 * @param port 0 takes a free one
 * @param apiKey what clients must send as {@code Authorization: Bearer KEY}; empty lets everybody in
 * @param origins web origins that scripts may call from, beside the server's own page; {@code *} allows all
 * @param maxBodyBytes largest body of a request
 * @param bodyTimeout longest time for a client to send a request
 * @param maxConnections most clients that are connected at once
 */
public record ServerOptions(
        String host,
        int port,
        Optional<String> apiKey,
        Set<String> origins,
        int maxBodyBytes,
        Duration bodyTimeout,
        int maxConnections) {
    public static final int DEFAULT_PORT = 8000;
    public static final String LOOPBACK = "127.0.0.1";

    public ServerOptions {
        origins = Set.copyOf(origins);
        if (apiKey.isPresent() && apiKey.get().isBlank()) {
            throw new IllegalArgumentException("the API key is blank; give one with characters in it, or none");
        }
    }

    /** Returns options for a server that only this machine reaches. */
    public static ServerOptions local(int port) {
        return new ServerOptions(LOOPBACK, port, Optional.empty(), Set.of(), 8 << 20, Duration.ofSeconds(30), 1000);
    }

    /** Returns whether only this machine reaches the server. */
    public boolean loopback() {
        return isLoopback(host);
    }

    static boolean isLoopback(String host) {
        return host.equals("localhost") || host.equals("::1") || host.equals("[::1]") || host.startsWith("127.");
    }

    @Override
    public String toString() {
        return "ServerOptions[" + host + ":" + port + (apiKey.isPresent() ? ", with a key" : "") + "]";
    }
}
