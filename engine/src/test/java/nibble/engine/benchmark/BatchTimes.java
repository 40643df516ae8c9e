package nibble.engine.benchmark;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import nibble.checkpoint.Checkpoint;
import nibble.engine.Llama;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Activations;
import nibble.engine.backend.Backend;
import nibble.engine.bench.BatchBenchmark;
import nibble.engine.host.VectorBackend;
import nibble.engine.host.natives.Kernels;

/**
 * Prints how many tokens a second some texts of a checkpoint get that are generated together, the best of three runs,
 * without the reading of their prompts: {@code bench engine --together} times random weights. Arguments: model, new
 * tokens, tokens of a prompt, then numbers of texts. Run from the test class path with {@code --add-modules
 * jdk.incubator.vector --enable-native-access=ALL-UNNAMED}.
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
                BatchBenchmark.Settings settings =
                        new BatchBenchmark.Settings(List.of(texts), prompt, tokens, null, CacheType.AUTO);
                double best = 0;
                for (int run = 0; run < 3; run++) {
                    double step = BatchBenchmark.run(model, settings)
                            .steps()
                            .getFirst()
                            .seconds();
                    best = Math.max(best, texts / step);
                }
                System.out.printf(Locale.ROOT, "%d texts: %.1f tokens/s%n", texts, best);
            }
        }
    }
}
