package nibble.engine.gradient;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.ArchitecturesTest;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import nibble.engine.backend.Parameter;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Taps;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.ModelWeights;
import nibble.engine.tensor.QuantizedWeight;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The divergence of a tiny quantized model of each architecture and its gradient, against PyTorch's autograd in fp64;
 * engine/src/test/scripts/gradients.py made resources/gradients.json.
 */
class DivergencePassTest {
    private static final String CENTERED_HEADS = "cohere-plus";
    private static final int GROUP = 32;
    private static final int SEQUENCES = 2;
    private static final int LENGTH = 12;
    private static final int ALL = 100;

    /** Models that have gradients: all dense ones but that whose norms of heads subtract a mean. */
    static Stream<String> tunable() {
        return ArchitecturesTest.dense().filter(name -> !name.equals(CENTERED_HEADS));
    }

    @Test
    void a_model_whose_norms_of_heads_subtract_a_mean_has_no_gradients() {
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(CENTERED_HEADS))) {
            assertThat(DivergencePass.lacks(checkpoint.config()))
                    .contains("models whose norms of heads subtract a mean");
        }
    }

    static Stream<Arguments> modelsAndBackends() {
        return tunable().flatMap(model -> Stream.of("reference", "cpu").map(device -> Arguments.of(model, device)));
    }

    @ParameterizedTest
    @MethodSource("modelsAndBackends")
    void gradients_are_those_of_pytorch(String model, String device) throws IOException {
        JsonNode expected = new ObjectMapper()
                .readTree(Path.of("src", "test", "resources", "gradients.json").toFile())
                .get(model);
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(model));
                Backend backend = Backends.open(device, 2)) {
            ModelWeights original = ModelWeights.read(checkpoint);
            int[] ids = ArchitecturesTest.Expected.of(model).ids();
            TunedModel tuned = tuned(original, backend, ALL, true);

            double divergence = divergence(tuned, original, backend, ids, ALL);

            assertThat(divergence).isCloseTo(expected.get("divergence").asDouble(), within(1e-5 * divergence));
            assertGradients(expected, tuned, checkpoint, 1e-4);
        }
    }

    /** @param share of each gradient's norm that it may be off by */
    static void assertGradients(JsonNode expected, TunedModel tuned, Checkpoint checkpoint, double share) {
        Map<String, Parameter> named = named(tuned);
        assertThat(named).hasSize(expected.size() - 1);
        named.forEach((name, parameter) -> {
            float[] gradient = parameter.gradient();
            // The factor of logits is part of that gain here.
            float scale = name.equals("norm") ? checkpoint.config().finalGainScale() : 1;
            double norm = 0;
            double product = 0;
            for (int i = 0; i < gradient.length; i++) {
                norm += (double) scale * gradient[i] * scale * gradient[i];
                product += scale * gradient[i] * Math.cos(i);
            }
            double size = expected.get(name).get(0).asDouble();
            assertThat(Math.sqrt(norm)).as(name).isCloseTo(size, within(share * size));
            assertThat(product).as(name).isCloseTo(expected.get(name).get(1).asDouble(), within(share * size));
        });
    }

    /** Along a random direction in all parameters at once. */
    @ParameterizedTest
    @MethodSource("modelsAndBackends")
    void gradients_are_those_of_finite_differences(String model, String device) {
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder(model));
                Backend backend = Backends.open(device, 2)) {
            ModelWeights original = ModelWeights.read(checkpoint);
            int[] ids = ArchitecturesTest.Expected.of(model).ids();
            TunedModel tuned = tuned(original, backend, ALL);
            divergence(tuned, original, backend, ids, ALL);
            List<float[]> directions = new ArrayList<>();
            Random random = new Random(7);
            double slope = 0;
            double size = 0;
            for (Parameter parameter : tuned.parameters()) {
                float[] direction = new float[parameter.size()];
                float[] start = parameter.values();
                float[] gradient = parameter.gradient();
                for (int i = 0; i < direction.length; i++) {
                    direction[i] = (float) random.nextGaussian();
                    double change = gradient[i] * start[i];
                    slope += direction[i] * change;
                    size += change * change;
                }
                directions.add(direction);
            }
            double[] ends = new double[2];
            float step = 3e-4f;
            for (int end = 0; end < 2; end++) {
                for (int p = 0; p < directions.size(); p++) {
                    Parameter parameter = tuned.parameters().get(p);
                    float[] change = new float[parameter.size()];
                    for (int i = 0; i < change.length; i++) {
                        change[i] = (end == 0 ? -step : step) * directions.get(p)[i];
                    }
                    parameter.restore(new Parameter.State(change, new float[change.length], new float[change.length]));
                }
                ends[end] = divergence(tuned, original, backend, ids, ALL);
            }
            assertThat((ends[1] - ends[0]) / (2 * step)).isCloseTo(slope, within(0.01 * Math.sqrt(size)));
        }
    }

    /** Positions move by whole codes here, so the weights of the moved model are known. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "cpu"})
    void a_model_with_moved_codes_diverges_as_one_that_was_made_so(String device) {
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder("smollm"));
                Backend backend = Backends.open(device, 2)) {
            ModelWeights original = ModelWeights.read(checkpoint);
            int[] ids = ArchitecturesTest.Expected.of("smollm").ids();
            TunedModel moved = tuned(original, backend, ALL, true);
            TunedModel scaled = tuned(original, backend, ALL, true);
            double before = divergence(moved, original, backend, ids, ALL);
            Parameter positions = java.util.Objects.requireNonNull(
                    moved.layers().getFirst().positions().get(Linear.DOWN));
            float[] values = positions.values();
            for (int i = 0; i < values.length; i++) {
                values[i] = Math.clamp(values[i] + 3.4f * (i % 3 - 1), -0.49f, 15.49f);
            }
            float[] none = new float[values.length];
            positions.restore(new Parameter.State(values, none, none));
            // A move by a slope of 1 and a rate of 0 writes the codes anew.
            positions.addGradient(values);
            positions.move(new Parameter.AdamStep(0, 1, 0.9, 0.99, 1e-20, -0.49f, 15.49f));
            assertThat(positions.gradient()).containsOnly(0f);

            double after = divergence(moved, original, backend, ids, ALL);

            assertThat(after).isNotEqualTo(before);
            assertThat(divergence(scaled, original, backend, ids, ALL)).isEqualTo(before);
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) Math.floor(values[i] + 0.5f);
            }
            Parameter whole = java.util.Objects.requireNonNull(
                    scaled.layers().getFirst().positions().get(Linear.DOWN));
            whole.restore(new Parameter.State(values, none, none));
            assertThat(divergence(scaled, original, backend, ids, ALL)).isEqualTo(after);
        }
    }

    /** With one tape for all layers each layer runs forward twice. */
    @Test
    void memory_for_one_layer_gives_the_same_gradient() {
        try (Checkpoint checkpoint = Checkpoint.open(ArchitecturesTest.folder("qwen3"));
                Backend backend = Backends.open("cpu", 2)) {
            ModelWeights original = ModelWeights.read(checkpoint);
            int[] ids = ArchitecturesTest.Expected.of("qwen3").ids();
            TunedModel kept = tuned(original, backend, ALL);
            TunedModel repeated = tuned(original, backend, ALL);

            double first = divergence(kept, original, backend, ids, ALL);
            double second = divergence(repeated, original, backend, ids, 1);

            assertThat(second).isEqualTo(first);
            for (int i = 0; i < kept.parameters().size(); i++) {
                assertThat(repeated.parameters().get(i).gradient())
                        .isEqualTo(kept.parameters().get(i).gradient());
            }
        }
    }

    static double divergence(TunedModel tuned, ModelWeights original, Backend backend, int[] ids, int kept) {
        ModelConfig config = original.config();
        try (Forward forward = new Forward(config, backend);
                Matrix states = forward.embed(original.embedding(), ids);
                DivergencePass pass = new DivergencePass(
                        tuned, backend.gradients(), SEQUENCES, LENGTH, 1, Math.min(kept, config.layers()))) {
            for (DecoderLayer layer : original.layers()) {
                forward.layer(layer, states, SEQUENCES, Taps.NONE);
            }
            backend.norm(states, original.finalNorm(), config.rmsNormEps(), states);
            return pass.add(ids, List.of(states), 1, _ -> {})[0] / ids.length;
        }
    }

    static Map<String, Parameter> named(TunedModel model) {
        Map<String, Parameter> named = new LinkedHashMap<>();
        for (int i = 0; i < model.layers().size(); i++) {
            TunedLayer layer = model.layers().get(i);
            for (Linear linear : Linear.SEVEN) {
                String name = i + "." + linear.name().toLowerCase(java.util.Locale.ROOT);
                named.put(name, layer.scales(linear));
                if (!layer.positions().isEmpty()) {
                    named.put(name + ".codes", layer.positions().get(linear));
                }
            }
            String prefix = i + ".";
            layer.norms()
                    .forEach((norm, gain) -> named.put(
                            prefix + model.config().architecture().norms().get(norm), gain));
            if (layer.headNorms().isPresent()) {
                named.put(i + ".self_attn.q_norm", layer.headNorms().get().query());
                named.put(i + ".self_attn.k_norm", layer.headNorms().get().key());
            }
        }
        named.put("norm", model.finalNorm());
        return named;
    }

    static TunedModel tuned(ModelWeights original, Backend backend, int residentCodes) {
        return tuned(original, backend, residentCodes, false);
    }

    static TunedModel tuned(ModelWeights original, Backend backend, int residentCodes, boolean movesCodes) {
        ModelWeights quantized = quantized(original);
        return new TunedModel(
                quantized.config(),
                quantized.embedding(),
                quantized.layers()::get,
                quantized.finalNorm().gain(),
                quantized.head(),
                backend.gradients(),
                residentCodes,
                movesCodes);
    }

    /** The model with its linears replaced by codes, zeros and scales of the script's formulas. */
    private static ModelWeights quantized(ModelWeights original) {
        ModelConfig config = original.config();
        List<DecoderLayer> layers = new ArrayList<>();
        for (int i = 0; i < config.layers(); i++) {
            DecoderLayer there = original.layers().get(i);
            Map<Linear, Weight> weights = new EnumMap<>(Linear.class);
            for (Linear linear : Linear.SEVEN) {
                weights.put(
                        linear,
                        new QuantizedWeight(linear(
                                i,
                                Linear.SEVEN.indexOf(linear),
                                config.outFeatures(linear),
                                config.inFeatures(linear))));
            }
            layers.add(DecoderLayer.of(there.inputNorm(), weights, there.postAttentionNorm(), there.extras()));
        }
        return new ModelWeights(config, original.embedding(), layers, original.finalNorm(), original.head());
    }

    private static QuantizedLinear linear(int layer, int index, int out, int in) {
        QuantizedLinear made = QuantizedLinear.blank(out, in, new QuantizationSpec(4, GROUP));
        for (int n = 0; n < out; n++) {
            for (int k = 0; k < in; k++) {
                int code = (7 * n + 5 * k + 3 * layer + index + n * k % 11) % 16;
                made.codes()[(n * in + k) / 2] |= (byte) (k % 2 == 0 ? code : code << 4);
            }
            for (int g = 0; g < made.groups(); g++) {
                made.zeros()[n * made.groups() + g] = (byte) (6 + (n + g) % 4);
                made.scales()[n * made.groups() + g] =
                        Float.floatToFloat16((float) (0.02 * (1 + ((n + 3 * g) % 5) / 8.0)));
            }
        }
        return made;
    }
}
