package nibble.engine.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Linear;
import nibble.engine.RandomMixture;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Taps;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.InputStatistics;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.DeviceWeight;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Experts that stay on the host and come for each product, beside experts that lie on the card: the same bits. */
@Tag("gpu")
class CudaStreamedExpertsTest {
    private static final int TOKENS = 70;

    @BeforeEach
    void card() {
        String missing = CudaBackend.missing();
        Assumptions.assumeTrue(missing.isEmpty(), missing);
    }

    @Test
    void layers_whose_experts_stay_on_the_host_give_the_same_states() {
        ModelWeights weights = RandomMixture.HALVES.weights();
        try (CudaBackend backend = CudaBackend.open(0, Long.MAX_VALUE, 2)) {
            float[] whole = states(backend, weights, true);
            assertThat(states(backend, weights, false)).isEqualTo(whole);
            assertThat(whole).doesNotContain(Float.NaN);
        }
    }

    private static float[] states(CudaBackend backend, ModelWeights weights, boolean routed) {
        int count = weights.layers().size();
        float[] values = values(new Random(3), TOKENS * weights.config().hiddenSize());
        try (CudaLayerFeed feed = feed(backend, weights, routed);
                Forward forward = new Forward(weights.config(), backend);
                Matrix hidden = backend.upload(values, TOKENS, weights.config().hiddenSize())) {
            for (int i = 0; i < count; i++) {
                DecoderLayer layer = feed.layer(i);
                assertThat(up(layer) instanceof DeviceWeight).isEqualTo(routed);
                assertThat(layer.weight(Linear.Q)).isInstanceOf(DeviceWeight.class);
                forward.layer(layer, hidden, 1, Taps.NONE);
            }
            return backend.download(hidden);
        }
    }

    @Test
    void a_linear_that_comes_for_each_operation_is_judged_and_rounded_as_one_that_lies_on_the_card() {
        ModelWeights weights = RandomMixture.HALVES.weights();
        int in = weights.config().hiddenSize();
        QuantizationSpec spec = new QuantizationSpec(4, 32);
        Random random = new Random(4);
        float[] factors = new float[in];
        for (int i = 0; i < in; i++) {
            factors[i] = (float) Math.exp(random.nextGaussian());
        }
        try (CudaBackend backend = CudaBackend.open(0, Long.MAX_VALUE, 2);
                CudaLayerFeed whole = feed(backend, weights, true);
                CudaLayerFeed parts = feed(backend, weights, false);
                InputStatistics input = backend.statistics(in);
                Matrix x = backend.upload(values(random, TOKENS * in), TOKENS, in)) {
            input.add(x);
            input.endPart();
            DenseWeight original = (DenseWeight) up(weights.layers().getFirst());
            try (LinearQuantizer here = backend.quantizer(up(whole.layer(0)), original, Path.of("w"), spec);
                    LinearQuantizer brought = backend.quantizer(up(parts.layer(0)), original, Path.of("w"), spec)) {
                assertThat(brought.outFeatures()).isEqualTo(here.outFeatures());
                assertThat(brought.inFeatures()).isEqualTo(in);
                assertThat(brought.relativeMagnitudes()).isEqualTo(here.relativeMagnitudes());
                List<float[]> candidates = Arrays.asList(null, factors);
                assertThat(brought.losses(candidates, input, () -> {}))
                        .isEqualTo(here.losses(candidates, input, () -> {}));
                assertThat(brought.outputSize(input)).isEqualTo(here.outputSize(input));
                Basis basis = Basis.ofColumns(factors);
                QuantizedLinear expected = here.quantize(basis, null);
                QuantizedLinear found = brought.quantize(basis, null);
                assertThat(found.codes()).isEqualTo(expected.codes());
                assertThat(found.scales()).isEqualTo(expected.scales());
                assertThat(found.zeros()).isEqualTo(expected.zeros());
                assertThat(brought.weightError(basis, null)).isEqualTo(here.weightError(basis, null));
                long used = backend.deviceBytes();
                brought.quantize(basis, null);
                assertThat(backend.deviceBytes()).as("memory given back").isEqualTo(used);
            }
        }
    }

    private static float[] values(Random random, int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private static CudaLayerFeed feed(CudaBackend backend, ModelWeights weights, boolean routed) {
        int count = weights.layers().size();
        return CudaLayerFeed.of(weights.layers()::get, count, backend.resources(), backend.upload, routed);
    }

    private static Weight up(DecoderLayer layer) {
        return layer.weight(Linear.UP, new Expert(3));
    }
}
