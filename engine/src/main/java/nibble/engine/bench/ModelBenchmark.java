package nibble.engine.bench;

import java.util.Arrays;
import java.util.Random;
import java.util.function.IntToDoubleFunction;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Linear;
import nibble.engine.Llama;
import nibble.engine.Session;
import nibble.engine.backend.Backend;
import nibble.engine.backend.DeviceKind;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.StoredWeights;
import nibble.engine.tensor.Weight;

/** Times a backend on a checkpoint, with random ids: how fast it reads a text, and how fast it generates one. */
public final class ModelBenchmark {
    private static final double ENOUGH_SECONDS = 3;
    private static final int LEAST_REPEATS = 3;
    /** Tokens and passes before any is timed: the compiler comes to the kernels in these. */
    private static final int WARM_TOKENS = 24;

    private ModelBenchmark() {}

    /**
     * Says what to time.
     *
     * @param prefill tokens of the text that is read, at least 2
     * @param context tokens before the first generated one
     * @param decode tokens to generate, at least 1
     */
    public record Settings(int prefill, int context, int decode) {}

    /**
     * Runs it.
     *
     * @param threads that the measurement of memory uses
     * @throws IllegalArgumentException for more tokens than the model was made for
     */
    public static ModelTimings run(Checkpoint checkpoint, Settings settings, Backend backend, int threads) {
        ModelWeights weights = ModelWeights.read(checkpoint);
        try (Llama model = Llama.of(weights, backend)) {
            long bytes = bytes(
                    weights, backend.kind() == DeviceKind.CPU ? model.placed().head() : weights.head());
            double token = decode(model, settings);
            // Before the prefill, whose activations of many rows stay on the heap until it is cleared.
            ProcessMemory memory = ProcessMemory.now();
            long device = backend.deviceBytes();
            double prefill = prefill(model, settings.prefill());
            double read = backend.readBytesPerSecond().orElseGet(() -> HostMemorySpeed.readBytesPerSecond(threads));
            return new ModelTimings(
                    backend.description(),
                    settings.prefill(),
                    settings.prefill() / prefill,
                    settings.context(),
                    settings.decode(),
                    1 / token,
                    bytes,
                    bytes / token,
                    read,
                    memory.resident(),
                    memory.own(),
                    backend.kind() == DeviceKind.CUDA ? device : null);
        }
    }

    private static long bytes(ModelWeights weights, Weight head) {
        long bytes = StoredWeights.bytes(head);
        for (DecoderLayer layer : weights.layers()) {
            for (Linear linear : Linear.SEVEN) {
                bytes += StoredWeights.bytes(layer.weight(linear));
            }
        }
        return bytes;
    }

    private static double prefill(Llama model, int tokens) {
        int[] ids = ids(model, tokens);
        IntToDoubleFunction pass = _ -> {
            try (Session session = model.session(tokens)) {
                long start = System.nanoTime();
                session.append(ids);
                return (System.nanoTime() - start) / 1e9;
            }
        };
        var _ = pass.applyAsDouble(0);
        double[] seconds = new double[64];
        double all = 0;
        int done = 0;
        while (done < LEAST_REPEATS || (all < ENOUGH_SECONDS && done < seconds.length)) {
            seconds[done] = pass.applyAsDouble(done);
            all += seconds[done++];
        }
        return median(seconds, done);
    }

    private static double decode(Llama model, Settings settings) {
        int[] ids = ids(model, settings.context() + WARM_TOKENS + settings.decode());
        try (Session session = model.session(ids.length)) {
            session.append(Arrays.copyOf(ids, settings.context()));
            double[] seconds = new double[settings.decode()];
            for (int i = -WARM_TOKENS; i < seconds.length; i++) {
                int[] id = {ids[settings.context() + WARM_TOKENS + i]};
                long start = System.nanoTime();
                session.append(id);
                if (i >= 0) {
                    seconds[i] = (System.nanoTime() - start) / 1e9;
                }
            }
            return median(seconds, seconds.length);
        }
    }

    private static int[] ids(Llama model, int count) {
        return new Random(3).ints(count, 0, model.vocabularySize()).toArray();
    }

    private static double median(double[] seconds, int count) {
        double[] sorted = Arrays.copyOf(seconds, count);
        Arrays.sort(sorted);
        return sorted[count / 2];
    }
}
