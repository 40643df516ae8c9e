package nibble.serve.generation;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import nibble.engine.batch.ServiceState;

/**
 * Counts texts and times. The names are vLLM's where a metric means the same, so that its dashboards show this server.
 * Thread-safe.
 */
public final class ServiceMetrics {
    private static final double[] SECONDS = {
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160
    };
    private static final double[] LONG_SECONDS = {
        0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480
    };
    private static final double[] TOKENS = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000};

    private final String labels;
    private final Histogram firstToken = new Histogram(SECONDS);
    private final Histogram betweenTokens = new Histogram(SECONDS);
    private final Histogram perToken = new Histogram(SECONDS);
    private final Histogram whole = new Histogram(LONG_SECONDS);
    private final Histogram promptTokens = new Histogram(TOKENS);
    private final Histogram newTokens = new Histogram(TOKENS);
    private final Histogram maxTokens = new Histogram(TOKENS);
    private final Histogram choices = new Histogram(1, 2, 5, 10, 20);
    private final Map<String, LongAdder> endings = new LinkedHashMap<>();

    /** Starts at zero; {@code model} is its name in labels. */
    public ServiceMetrics(String model) {
        labels = "engine=\"0\",model_name=\""
                + model.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
        for (String reason : new String[] {"stop", "length", "abort"}) {
            endings.put(reason, new LongAdder());
        }
    }

    /** Begins to time a text. */
    Clock begin(int prompt, int most, int n) {
        promptTokens.observe(prompt);
        maxTokens.observe(most);
        choices.observe(n);
        return new Clock();
    }

    /** Times one text; used by one thread at a time. */
    final class Clock {
        private final long begun = System.nanoTime();
        private long first;
        private long last;
        private boolean over;

        void token(long nanos) {
            if (first == 0) {
                first = nanos;
                firstToken.observe((nanos - begun) / 1e9);
            } else {
                betweenTokens.observe((nanos - last) / 1e9);
            }
            last = nanos;
        }

        void ended(String reason, int tokens, long nanos) {
            if (over) {
                return;
            }
            over = true;
            LongAdder count = endings.get(reason);
            if (count != null) {
                count.increment();
            }
            newTokens.observe(tokens);
            whole.observe((nanos - begun) / 1e9);
            if (tokens > 1 && first != 0) {
                perToken.observe((last - first) / 1e9 / (tokens - 1));
            }
        }
    }

    /** Writes all in Prometheus' text form. */
    public void write(StringBuilder out, ServiceState state) {
        gauge(out, "vllm:num_requests_running", "Texts in the batch.", state.running());
        gauge(out, "vllm:num_requests_waiting", "Texts in the queue.", state.waiting());
        gauge(
                out,
                "vllm:kv_cache_usage_perc",
                "Share of the KV cache that running texts hold; 1 is all.",
                state.blocks() == 0 ? 0 : (double) state.usedBlocks() / state.blocks());
        counter(out, "vllm:prefix_cache_queries", "Ids of prompts looked for in the cache.", state.promptTokens());
        counter(out, "vllm:prefix_cache_hits", "Ids of prompts found in the cache.", state.cachedPromptTokens());
        counter(out, "vllm:num_preemptions", "Times a text gave up its blocks.", state.preemptions());
        counter(out, "vllm:prompt_tokens", "Ids of prompts.", state.promptTokens());
        counter(out, "vllm:prompt_tokens_cached", "Ids of prompts found in the cache.", state.cachedPromptTokens());
        counter(out, "vllm:generation_tokens", "New ids.", state.generatedTokens());
        counter(out, "nibble:steps", "Passes through the model.", state.steps());
        head(out, "vllm:request_success_total", "Texts that ended, by reason.", "counter");
        endings.forEach((reason, count) -> out.append(
                "vllm:request_success_total{%s,finished_reason=\"%s\"} %d.0\n".formatted(labels, reason, count.sum())));
        histogram(out, "vllm:time_to_first_token_seconds", "Time to the first token.", firstToken);
        histogram(out, "vllm:inter_token_latency_seconds", "Time from one token to the next.", betweenTokens);
        histogram(
                out,
                "vllm:request_time_per_output_token_seconds",
                "Time for each token after the first, by text.",
                perToken);
        histogram(out, "vllm:e2e_request_latency_seconds", "Time from the request to the end of its text.", whole);
        histogram(out, "vllm:request_prompt_tokens", "Ids of a prompt.", promptTokens);
        histogram(out, "vllm:request_generation_tokens", "New ids of a text.", newTokens);
        histogram(out, "vllm:request_params_max_tokens", "Most new ids asked for.", maxTokens);
        histogram(out, "vllm:request_params_n", "Texts asked for one prompt.", choices);
    }

    private static void head(StringBuilder out, String name, String help, String type) {
        out.append("# HELP %s %s\n# TYPE %s %s\n".formatted(name, help, name, type));
    }

    private void gauge(StringBuilder out, String name, String help, double value) {
        head(out, name, help, "gauge");
        out.append("%s{%s} %s\n".formatted(name, labels, Histogram.number(value)));
    }

    private void counter(StringBuilder out, String name, String help, long value) {
        head(out, name + "_total", help, "counter");
        out.append("%s_total{%s} %d.0\n".formatted(name, labels, value));
    }

    private void histogram(StringBuilder out, String name, String help, Histogram histogram) {
        head(out, name, help, "histogram");
        histogram.write(out, name, labels);
    }
}
