package nibble.engine.benchmark;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Random;
import java.util.Set;
import nibble.checkpoint.Checkpoint;
import nibble.engine.Llama;
import nibble.engine.SamplingOptions;
import nibble.engine.backend.Activations;
import nibble.engine.backend.Backend;
import nibble.engine.batch.BatchOptions;
import nibble.engine.batch.BatchScheduler;
import nibble.engine.batch.Ending;
import nibble.engine.batch.GenerationListener;
import nibble.engine.batch.GenerationRequest;
import nibble.engine.batch.ScoredToken;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.natives.Kernels;

/**
 * Prints how many tokens a second some texts get that are generated together, the best of three runs, without the
 * reading of their prompts. Arguments: model, new tokens, tokens of a prompt, then numbers of texts. Run from the test
 * class path with {@code --add-modules jdk.incubator.vector --enable-native-access=ALL-UNNAMED}.
 */
final class BatchTimes {
    private BatchTimes() {}

    public static void main(String[] arguments) throws IOException {
        int tokens = Integer.parseInt(arguments[1]);
        int prompt = Integer.parseInt(arguments[2]);
        Kernels kernels = Kernels.ofMachine();
        try (Checkpoint checkpoint = Checkpoint.open(Path.of(arguments[0]));
                Backend backend = new VectorBackend(
                        Runtime.getRuntime().availableProcessors(),
                        kernels == null ? null : kernels.with(Activations.INT8_WHERE_FASTER));
                Llama model = Llama.load(checkpoint, backend)) {
            for (int i = 3; i < arguments.length; i++) {
                int texts = Integer.parseInt(arguments[i]);
                double best = 0;
                for (int run = 0; run < 3; run++) {
                    best = Math.max(best, tokensPerSecond(model, texts, tokens, prompt));
                }
                System.out.printf(Locale.ROOT, "%d texts: %.1f tokens/s%n", texts, best);
            }
        }
    }

    private static double tokensPerSecond(Llama model, int texts, int tokens, int prompt) {
        BatchOptions options = new BatchOptions(texts, texts, texts * (prompt + tokens + 16), 4096);
        try (BatchScheduler scheduler = new BatchScheduler(model, options)) {
            for (int text = 0; text < texts; text++) {
                int[] ids = new Random(text).ints(prompt, 10, 1000).toArray();
                scheduler.add(new GenerationRequest(ids, SamplingOptions.GREEDY, tokens, Set.of()), new Silent());
            }
            while (scheduler.state().generatedTokens() < texts) {
                scheduler.step();
            }
            long before = scheduler.state().generatedTokens();
            long begin = System.nanoTime();
            scheduler.run();
            return (scheduler.state().generatedTokens() - before) / ((System.nanoTime() - begin) / 1e9);
        }
    }

    /** Takes what comes. */
    private static final class Silent implements GenerationListener {
        @Override
        public boolean token(ScoredToken token) {
            return true;
        }

        @Override
        public void ended(Ending ending) {}

        @Override
        public void failed(RuntimeException cause) {
            throw cause;
        }
    }
}
