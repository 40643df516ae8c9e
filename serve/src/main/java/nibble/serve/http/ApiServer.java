package nibble.serve.http;

import java.io.IOException;
import java.net.URI;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import nibble.serve.generation.ServedModel;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.NetworkConnectionLimit;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.thread.QueuedThreadPool;
import org.eclipse.jetty.util.thread.ScheduledExecutorScheduler;

/** Answers OpenAI's API for a model over HTTP/1.1. A virtual thread waits for each request's texts. */
public final class ApiServer implements AutoCloseable {
    private static final int MAX_HEAD_BYTES = 16 << 10;
    private static final long LOOK_MILLIS = 20;

    private final Server server;
    private final ServerConnector connector;
    private final Router router;
    private final ServerOptions options;

    private ApiServer(Server server, ServerConnector connector, Router router, ServerOptions options) {
        this.server = server;
        this.connector = connector;
        this.router = router;
        this.options = options;
    }

    /**
     * Starts a server.
     *
     * @param model stays the caller's, who closes it after the server
     * @param log takes a line for each request that failed by a defect
     * @throws IOException if the address cannot be listened at
     */
    public static ApiServer start(ServedModel model, ServerOptions options, Consumer<String> log) throws IOException {
        QueuedThreadPool threads = new QueuedThreadPool(16, 4);
        threads.setName("http");
        threads.setDaemon(true);
        threads.setVirtualThreadsExecutor(Executors.newThreadPerTaskExecutor(
                Thread.ofVirtual().name("request-", 0).factory()));
        ScheduledExecutorScheduler scheduler = new ScheduledExecutorScheduler("http-timer", true);
        Server server = new Server(threads, scheduler, null);
        HttpConfiguration http = new HttpConfiguration();
        http.setSendServerVersion(false);
        http.setRequestHeaderSize(MAX_HEAD_BYTES);
        ServerConnector connector = new ServerConnector(server, 1, 1, new HttpConnectionFactory(http));
        connector.setHost(options.host());
        connector.setPort(options.port());
        connector.setIdleTimeout(options.bodyTimeout().toMillis());
        connector.setAcceptQueueSize(1024);
        server.addConnector(connector);
        server.addBean(new NetworkConnectionLimit(options.maxConnections(), connector));
        Router router = new Router(model, options, log);
        server.setHandler(router);
        server.setErrorHandler(new JsonErrors());
        try {
            server.start();
        } catch (Exception e) {
            stop(server);
            throw e instanceof IOException cause ? cause : new IOException(e.getMessage(), e);
        }
        new SlowHeads(connector, options.bodyTimeout()).watch(scheduler);
        return new ApiServer(server, connector, router, options);
    }

    /** Returns the address of the server, with the port it got. */
    public URI address() {
        String host = options.host().contains(":") && !options.host().startsWith("[")
                ? "[" + options.host() + "]"
                : options.host();
        return URI.create("http://" + host + ":" + connector.getLocalPort());
    }

    /**
     * Refuses new requests to generate, and waits until all that were taken are answered.
     *
     * @return whether they are, in this time
     */
    public boolean drain(Duration time) throws InterruptedException {
        router.drain();
        long deadline = System.nanoTime() + time.toNanos();
        while (router.inFlight() > 0) {
            if (System.nanoTime() > deadline) {
                return false;
            }
            Thread.sleep(LOOK_MILLIS);
        }
        return true;
    }

    /** Ends all connections. */
    @Override
    public void close() {
        stop(server);
    }

    private static void stop(Server server) {
        try {
            server.setStopTimeout(0);
            server.stop();
        } catch (Exception e) {
            throw new IllegalStateException("the server cannot be stopped", e);
        }
    }
}
