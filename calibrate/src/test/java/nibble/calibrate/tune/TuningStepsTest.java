package nibble.calibrate.tune;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.Backend;
import nibble.engine.backend.Parameter;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Steps whose parts one device computes one after another, and two devices side by side. The devices are two backends
 * of the host, each on a thread of its own.
 */
@Timeout(600)
class TuningStepsTest {
    private static final QuantizationSpec SPEC = new QuantizationSpec(4, 32);
    private static final int LENGTH = 8;
    private static final int SEQUENCES = 4;
    private static final int STEPS = 6;

    /** Two devices of the host that share nothing. */
    private static final class Pair implements QuantizationDevices {
        private final List<Backend> members = List.of(new ReferenceBackend(), new ReferenceBackend());
        private final ExecutorService second = Executors.newSingleThreadExecutor();

        @Override
        public List<Backend> members() {
            return members;
        }

        @Override
        public <T> List<T> onEach(IntFunction<T> task) {
            Future<T> other = second.submit(() -> task.apply(1));
            RuntimeException failure = null;
            List<T> results = new ArrayList<>();
            try {
                results.add(task.apply(0));
            } catch (RuntimeException e) {
                failure = e;
            }
            try {
                results.add(other.get());
            } catch (InterruptedException | ExecutionException e) {
                failure = e.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(e);
            }
            if (failure != null) {
                throw failure;
            }
            return results;
        }

        @Override
        public InputStatistics statistics(int columns) {
            throw new UnsupportedOperationException();
        }

        @Override
        public PairedMoments pairedMoments(int columns, int residual) {
            throw new UnsupportedOperationException();
        }

        @Override
        public LinearQuantizer quantizer(
                List<? extends Weight> placed, DenseWeight original, Path file, QuantizationSpec spec) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void synchronize() {}

        @Override
        public void close() {
            second.close();
            members.forEach(Backend::close);
        }
    }

    private static TuningSteps steps(Checkpoint checkpoint, QuantizationDevices devices, int parts, boolean codes) {
        ModelConfig config = checkpoint.config();
        return new TuningSteps(
                config,
                SPEC,
                ModelWeights.embedding(checkpoint),
                index -> quantized(config, DecoderLayer.read(checkpoint, index), index),
                ModelWeights.finalNorm(checkpoint).gain(),
                ModelWeights.head(checkpoint),
                devices,
                new StepShape(SEQUENCES, LENGTH, parts),
                codes);
    }

    private static DecoderLayer quantized(ModelConfig config, DecoderLayer there, int index) {
        Random random = new Random(index);
        Map<Linear, Weight> weights = new EnumMap<>(Linear.class);
        for (Linear linear : Linear.SEVEN) {
            QuantizedLinear made = QuantizedLinear.blank(config.outFeatures(linear), config.inFeatures(linear), SPEC);
            random.nextBytes(made.codes());
            Arrays.fill(made.zeros(), (byte) SPEC.middle());
            Arrays.fill(made.scales(), Float.floatToFloat16(0.02f));
            weights.put(linear, new QuantizedWeight(made));
        }
        return DecoderLayer.of(there.inputNorm(), weights, there.postAttentionNorm(), there.extras());
    }

    private static double take(TuningSteps steps, int step, int hidden, Backend backend) {
        Random random = new Random(100 + step);
        int[] ids = random.ints(SEQUENCES * LENGTH, 0, 256).toArray();
        float[] states = new float[SEQUENCES * LENGTH * hidden];
        for (int i = 0; i < states.length; i++) {
            states[i] = (float) random.nextGaussian();
        }
        return steps.take(step, STEPS, ids, (first, count, into) -> {
            int from = first * LENGTH * hidden;
            float[] own = Arrays.copyOfRange(states, from, from + count * LENGTH * hidden);
            try (Matrix brought = backend.upload(own, count * LENGTH, hidden)) {
                backend.copyRows(brought, 0, count * LENGTH, into, 0);
            }
        });
    }

    private static void assertSame(TuningSteps found, TuningSteps expected) {
        List<Parameter> all = expected.model().parameters();
        assertThat(found.model().parameters()).hasSameSizeAs(all);
        for (int i = 0; i < all.size(); i++) {
            Parameter parameter = found.model().parameters().get(i);
            assertThat(parameter.state())
                    .usingRecursiveComparison()
                    .isEqualTo(all.get(i).state());
            assertThat(parameter.values()).isEqualTo(all.get(i).values());
        }
    }

    private static Checkpoint checkpoint() {
        return Checkpoint.open(Path.of("..", "checkpoint", "src", "test", "resources", "architectures")
                .resolve("qwen3"));
    }

    /** After the second step the second device's model has the moved codes and scales of the first one's. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void two_devices_take_the_steps_of_one_bit_for_bit(boolean codes) {
        try (Checkpoint checkpoint = checkpoint();
                Backend alone = new ReferenceBackend();
                QuantizationDevices pair = new Pair();
                TuningSteps one = steps(checkpoint, QuantizationDevices.of(alone), 2, codes);
                TuningSteps two = steps(checkpoint, pair, 2, codes)) {
            int hidden = checkpoint.config().hiddenSize();
            for (int step = 0; step < STEPS; step++) {
                assertThat(take(two, step, hidden, alone)).isEqualTo(take(one, step, hidden, alone));
            }
            assertSame(two, one);
            assertThat(one.model().parameters().getFirst().state().moved()).doesNotContain(0f);
        }
    }

    /** What was left by one device goes on with two: the second one takes up codes and scales. */
    @Test
    void steps_begun_on_one_device_go_on_with_two() {
        try (Checkpoint checkpoint = checkpoint();
                Backend alone = new ReferenceBackend();
                QuantizationDevices pair = new Pair();
                TuningSteps one = steps(checkpoint, QuantizationDevices.of(alone), 2, true);
                TuningSteps two = steps(checkpoint, pair, 2, true)) {
            int hidden = checkpoint.config().hiddenSize();
            for (int step = 0; step < 3; step++) {
                take(one, step, hidden, alone);
            }
            for (int i = 0; i < one.model().parameters().size(); i++) {
                two.model()
                        .parameters()
                        .get(i)
                        .restore(one.model().parameters().get(i).state());
            }
            two.restored();
            for (int step = 3; step < STEPS; step++) {
                assertThat(take(two, step, hidden, alone)).isEqualTo(take(one, step, hidden, alone));
            }
            assertSame(two, one);
        }
    }

    @Test
    void the_parts_of_a_step_add_up_to_the_whole() {
        try (Checkpoint checkpoint = checkpoint();
                Backend alone = new ReferenceBackend();
                TuningSteps whole = steps(checkpoint, QuantizationDevices.of(alone), 1, true);
                TuningSteps parts = steps(checkpoint, QuantizationDevices.of(alone), 4, true)) {
            int hidden = checkpoint.config().hiddenSize();
            double divergence = take(whole, 0, hidden, alone);
            assertThat(take(parts, 0, hidden, alone)).isCloseTo(divergence, within(1e-6 * divergence));
            for (int i = 0; i < whole.model().parameters().size(); i++) {
                float[] means = whole.model().parameters().get(i).state().first();
                float[] found = parts.model().parameters().get(i).state().first();
                double most = 0;
                for (float mean : means) {
                    most = Math.max(most, Math.abs(mean));
                }
                for (int k = 0; k < means.length; k++) {
                    assertThat((double) found[k]).isCloseTo(means[k], within(1e-4 * most));
                }
            }
        }
    }

    /** The other device stops too, rather than wait for the first. */
    @ParameterizedTest
    @ValueSource(ints = {0, SEQUENCES / 2})
    void a_device_that_fails_ends_the_step_of_both(int failing) {
        try (Checkpoint checkpoint = checkpoint();
                QuantizationDevices pair = new Pair();
                TuningSteps two = steps(checkpoint, pair, 2, false)) {
            assertThatThrownBy(() -> two.take(0, STEPS, new int[SEQUENCES * LENGTH], (first, count, into) -> {
                        if (first == failing) {
                            throw new IllegalStateException("no states of " + first);
                        }
                    }))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessage("no states of " + failing);
        }
    }

    /** A step in one part, or in more parts than devices, is one device's. */
    @Test
    void devices_take_part_where_each_has_one_part() {
        assertThat(new StepShape(16, 512, 2).devices(2)).isEqualTo(2);
        assertThat(new StepShape(16, 512, 2).devices(1)).isEqualTo(1);
        assertThat(new StepShape(16, 512, 2).partsOf(1)).isEqualTo(2);
        assertThat(new StepShape(15, 512, 1).devices(2)).isEqualTo(1);
        assertThat(new StepShape(16, 512, 4).devices(2)).isEqualTo(1);
        assertThatThrownBy(() -> new StepShape(3, 512, 2)).isInstanceOf(IllegalArgumentException.class);
    }
}
