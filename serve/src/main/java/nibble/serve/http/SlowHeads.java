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
    /** What a connection had received when no request of it was in the works, and when that was seen first. */
    private record Seen(long messages, long bytes, long nanos) {}

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
            Seen before = seen.get(endPoint);
            long messages = connection.getMessagesIn();
            if (before == null || before.messages() != messages) {
                still.put(endPoint, new Seen(messages, connection.getBytesIn(), now));
            } else if (connection.getBytesIn() == before.bytes() && messages > 0) {
                // Idle between two requests: Jetty's own limit holds.
                still.put(endPoint, new Seen(messages, before.bytes(), now));
            } else if (now - before.nanos() > limit.toNanos() && messages == connection.getMessagesOut()) {
                endPoint.close();
            } else {
                still.put(endPoint, before);
            }
        }
        seen.clear();
        seen.putAll(still);
    }
}
