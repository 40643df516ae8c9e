package nibble.serve.http;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.eclipse.jetty.io.Connection;
import org.eclipse.jetty.io.EndPoint;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.thread.ScheduledExecutorScheduler;

/**
 * Closes connections whose client takes too long over the head of a request: Jetty's own limit begins anew with every
 * byte.
 */
final class SlowHeads {
    /**
     * What a connection had received when no request of it was in the works, and since when more is there that is no
     * request yet; 0 for nothing more.
     */
    private record Seen(long messages, long bytes, long since) {}

    private final ServerConnector connector;
    private final Duration limit;
    private final Map<EndPoint, Seen> seen = new HashMap<>();

    SlowHeads(ServerConnector connector, Duration limit) {
        this.connector = connector;
        this.limit = limit;
    }

    /** Looks again and again, until the scheduler stops. */
    void watch(ScheduledExecutorScheduler scheduler) {
        scheduler.schedule(
                () -> {
                    look(System.nanoTime());
                    watch(scheduler);
                },
                Math.clamp(limit.toMillis() / 4, 50, 1000),
                java.util.concurrent.TimeUnit.MILLISECONDS);
    }

    private void look(long now) {
        Map<EndPoint, Seen> still = new HashMap<>();
        for (EndPoint endPoint : connector.getConnectedEndPoints()) {
            Connection connection = endPoint.getConnection();
            if (connection == null) {
                continue;
            }
            long messages = connection.getMessagesIn();
            long bytes = connection.getBytesIn();
            Seen before = seen.getOrDefault(endPoint, new Seen(0, 0, 0));
            if (messages != before.messages() || messages != connection.getMessagesOut()) {
                still.put(endPoint, new Seen(messages, bytes, 0));
            } else if (bytes == before.bytes() || before.since() == 0) {
                // Idle between two requests, where Jetty's own limit holds; or the first bytes of a request.
                still.put(endPoint, new Seen(messages, before.bytes(), bytes == before.bytes() ? 0 : now));
            } else if (now - before.since() > limit.toNanos()) {
                endPoint.close();
            } else {
                still.put(endPoint, before);
            }
        }
        seen.clear();
        seen.putAll(still);
    }
}
