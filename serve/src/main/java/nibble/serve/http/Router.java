package nibble.serve.http;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Consumer;
import nibble.serve.api.ApiException;
import nibble.serve.generation.Prompts;
import nibble.serve.generation.ServedModel;
import nibble.serve.generation.ServiceMetrics;
import nibble.serve.generation.TokenTexts;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.util.Callback;
import org.jspecify.annotations.Nullable;

/** Finds the endpoint of a request, and turns whatever goes wrong into an answer. */
final class Router extends Handler.Abstract {
    /** An endpoint, whether it needs the key, and whether it is closed once the server ends. */
    private record Route(String method, Endpoint endpoint, boolean guarded, boolean generates) {}

    /** How access logs write that nobody waited for the answer. */
    private static final int CLIENT_GONE = 499;

    private final Map<String, Route> routes = new LinkedHashMap<>();
    private final ServerOptions options;
    private final Access access;
    private final Route oneModel;
    private final Consumer<String> log;
    private final ServedModel model;
    private final ServiceMetrics metrics;
    private final AtomicInteger inFlight = new AtomicInteger();
    private final Map<String, LongAdder> counts = new ConcurrentHashMap<>();
    private volatile boolean draining;

    Router(ServedModel model, ServerOptions options, Consumer<String> log) {
        this.model = model;
        this.options = options;
        this.log = log;
        access = new Access(options);
        metrics = new ServiceMetrics(model.name());
        TokenTexts texts = new TokenTexts(model.described());
        Prompts prompts = new Prompts(model, texts);
        GenerationEndpoints generation = new GenerationEndpoints(model, texts, prompts, metrics);
        ModelEndpoints about = new ModelEndpoints(model, texts, prompts);
        oneModel = new Route("GET", about::one, true, false);
        routes.put("/v1/chat/completions", new Route("POST", generation::chat, true, true));
        routes.put("/v1/completions", new Route("POST", generation::completions, true, true));
        routes.put("/v1/models", new Route("GET", about::list, true, false));
        routes.put("/tokenize", new Route("POST", about::tokenize, true, true));
        routes.put("/detokenize", new Route("POST", about::detokenize, true, true));
        routes.put("/version", new Route("GET", about::version, false, false));
        routes.put("/health", new Route("GET", this::health, false, false));
        routes.put("/ping", new Route("GET", this::health, false, false));
        routes.put("/metrics", new Route("GET", this::metrics, false, false));
        routes.put("/", new Route("GET", new ChatPage()::answer, false, false));
    }

    /** Refuses requests that generate, from now on. */
    void drain() {
        draining = true;
    }

    /** Returns how many requests are being answered. */
    int inFlight() {
        return inFlight.get();
    }

    @Override
    public boolean handle(Request request, Response response, Callback callback) {
        inFlight.incrementAndGet();
        Exchange exchange = new Exchange(request, response, options);
        Route route = route(exchange);
        int failure = 0;
        try {
            // While a text is generated neither side sends anything for as long as it takes.
            request.addIdleTimeoutListener(_ -> false);
            answer(exchange, route);
            callback.succeeded();
        } catch (ClientGoneException e) {
            failure = CLIENT_GONE;
            callback.failed(e);
        } catch (InterruptedException e) {
            failure = 500;
            callback.failed(e);
            Thread.currentThread().interrupt();
        } catch (RuntimeException e) {
            failure = 500;
            log.accept("request " + exchange.id() + " failed: " + e);
            callback.failed(e);
        } finally {
            inFlight.decrementAndGet();
            count(route, exchange, failure == 0 ? response.getStatus() : failure);
        }
        return true;
    }

    private @Nullable Route route(Exchange exchange) {
        Route route = routes.get(exchange.path());
        return route == null && exchange.path().startsWith("/v1/models/") ? oneModel : route;
    }

    private void answer(Exchange exchange, @Nullable Route route) throws InterruptedException {
        try {
            access.requireOwnName(exchange);
            if (exchange.method().equals("OPTIONS") && exchange.header("Access-Control-Request-Method") != null) {
                access.preflight(exchange);
                return;
            }
            access.allowOrigin(exchange);
            if (route == null) {
                throw ApiException.of(404, "Not Found: there is no " + shortened(exchange.path()));
            }
            boolean head = exchange.method().equals("HEAD") && route.method().equals("GET");
            if (!head && !exchange.method().equals(route.method())) {
                exchange.answerHeader("Allow", route.method());
                throw ApiException.of(405, "Method Not Allowed: use " + route.method());
            }
            if (route.guarded()) {
                access.requireKey(exchange);
            }
            if (draining && route.generates()) {
                throw ApiException.ending();
            }
            route.endpoint().answer(exchange);
        } catch (ApiException e) {
            refuse(exchange, e);
        } catch (ClientGoneException e) {
            throw e;
        } catch (RuntimeException e) {
            log.accept("request " + exchange.id() + " failed: " + e);
            refuse(exchange, ApiException.failed("the server failed; its log has the cause under " + exchange.id()));
        }
    }

    private static void refuse(Exchange exchange, ApiException refusal) {
        if (exchange.committed()) {
            exchange.event(refusal.body());
            exchange.endEvents();
        } else {
            exchange.send(refusal);
        }
    }

    private static String shortened(String path) {
        return path.length() > 100 ? path.substring(0, 100) + "…" : path;
    }

    private void health(Exchange exchange) {
        if (draining) {
            throw ApiException.ending();
        }
        exchange.send(200, "text/plain; charset=utf-8", new byte[0]);
    }

    private void metrics(Exchange exchange) {
        StringBuilder out = new StringBuilder();
        metrics.write(out, model.service().state());
        out.append("# HELP http_requests_total Requests by path, method and status.\n")
                .append("# TYPE http_requests_total counter\n");
        counts.forEach((labels, count) -> out.append("http_requests_total{%s} %d.0\n".formatted(labels, count.sum())));
        exchange.send(
                200, "text/plain; version=0.0.4; charset=utf-8", out.toString().getBytes(StandardCharsets.UTF_8));
    }

    /** Paths and methods that there are have labels of their own, and no others, however many clients try. */
    private void count(@Nullable Route route, Exchange exchange, int status) {
        String handler = route == null ? "none" : route == oneModel ? "/v1/models/{model}" : exchange.path();
        String method = route == null ? "any" : exchange.method().equals(route.method()) ? route.method() : "other";
        counts.computeIfAbsent(
                        "handler=\"%s\",method=\"%s\",status=\"%dxx\"".formatted(handler, method, status / 100),
                        _ -> new LongAdder())
                .increment();
    }
}
