package nibble.calibrate.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.Function;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.TensorView;
import nibble.convert.RandomCheckpoint;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.forward.Forward;
import nibble.engine.forward.Taps;
import nibble.engine.host.HostLinearQuantizer;
import nibble.engine.host.quantize.ScaledLinear;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.Matrix;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizationSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Scales change what is rounded, never what the layer computes. */
class PairScalesTest {
    /** In every mixture it has experts. */
    private static final int LAYER = 0;

    @TempDir
    Path temp;

    @Test
    void a_scaled_layer_computes_what_the_original_does() throws IOException {
        try (Checkpoint checkpoint = RandomCheckpoint.open(temp.resolve("in"))) {
            assertUnchanged(checkpoint, 1e-5f, PairScalesTest::any);
        }
    }

    /** Powers of two leave every digit of a bias in place, so here nothing is rounded. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "llama-bias",
                "qwen2",
                "qwen3",
                "phi3",
                "gemma",
                "mixtral",
                "qwen2-moe",
                "qwen3-moe",
                "olmoe",
                "phimoe",
                "deepseek2-lite",
                "deepseek2",
                "deepseek3",
                "cohere",
                "cohere2",
                "cohere-plus",
                "llama4"
            })
    void a_layer_scaled_by_powers_of_two_is_the_same_but_for_the_order_of_its_sums(String model) {
        try (Checkpoint checkpoint = open(model)) {
            assertUnchanged(checkpoint, 1e-5f, random -> Math.scalb(1f, random.nextInt(-2, 3)));
        }
    }

    /**
     * v_proj's bias is rounded to fp16 anew, by up to 2^-11 of its 0.5 or so, and o_proj adds 64 of them. LayerNorm's
     * biases of phimoe are rounded as well, in front of both halves of the layer: twice as much.
     */
    @ParameterizedTest
    @CsvSource({
        "llama-bias, 4e-3",
        "qwen2, 4e-3",
        "qwen3, 1e-5",
        "phi3, 1e-5",
        "gemma, 1e-5",
        "mixtral, 1e-5",
        "qwen2-moe, 4e-3",
        "qwen3-moe, 1e-5",
        "olmoe, 1e-5",
        "phimoe, 8e-3",
        "deepseek2-lite, 1e-5",
        "deepseek3, 1e-5",
        "cohere, 1e-5",
        "cohere-plus, 1e-5",
        "llama4, 1e-5",
        // Its scores are large, and its experts' outputs count 2.5 times: each scale alone moves it by 2e-5 at most.
        "deepseek2, 1e-4"
    })
    void so_does_a_scaled_layer_of_every_architecture(String model, float bound) {
        try (Checkpoint checkpoint = open(model)) {
            assertUnchanged(checkpoint, bound, PairScalesTest::any);
        }
    }

    private static Checkpoint open(String model) {
        return Checkpoint.open(Path.of("..", "checkpoint", "src", "test", "resources", "architectures", model));
    }

    private static float any(Random random) {
        return (float) Math.exp(random.nextGaussian());
    }

    private static void assertUnchanged(Checkpoint checkpoint, float bound, Function<Random, Float> scale) {
        try (Backend backend = Backends.open("reference", 1)) {
            ModelConfig config = checkpoint.config();
            LayerSource source = LayerSource.of(
                    checkpoint,
                    LAYER,
                    List.of(DecoderLayer.read(checkpoint, LAYER)),
                    QuantizationDevices.of(backend),
                    new QuantizationSpec(4, 32));
            PairScales scales = new PairScales(source, HeadTie.of(config));
            Random random = new Random(5);
            for (ScalePair pair : ScalePair.of(source.names(), source.parallel())) {
                float[] s = new float
                        [switch (pair.kind()) {
                            case UP_DOWN -> config.outFeatures(Linear.UP, pair.expert());
                            case VALUE_OUTPUT -> config.kvHeads() * config.valueDim();
                            case ATTENTION_NORM, PARALLEL_NORM, QUERY_NORM, KEY_VALUE_NORM, MLP_NORM ->
                                config.width(pair.input());
                        }];
                for (int i = 0; i < s.length; i++) {
                    s[i] = scale.apply(random);
                }
                scales.set(pair, scales.possible(pair, s));
            }
            float[] original = run(DecoderLayer.read(checkpoint, LAYER), config, checkpoint, backend);
            float[] scaled = run(scaledLayer(source, scales), config, checkpoint, backend);
            for (int i = 0; i < original.length; i++) {
                assertThat(scaled[i]).isCloseTo(original[i], within(bound * Math.max(1, Math.abs(original[i]))));
            }
        }
    }

    /** Not nearly: all bits of all logits, so that no token can come to another expert. */
    @ParameterizedTest
    @ValueSource(strings = {"mixtral", "qwen2-moe", "qwen3-moe", "olmoe", "phimoe", "deepseek2"})
    void a_scale_of_the_norm_leaves_every_bit_of_the_routers_logits(String model) {
        try (Checkpoint checkpoint = open(model);
                Backend backend = Backends.open("cpu", 1)) {
            DecoderLayer original = DecoderLayer.read(checkpoint, LAYER);
            LayerSource source = LayerSource.of(
                    checkpoint, LAYER, List.of(original), QuantizationDevices.of(backend), new QuantizationSpec(4, 32));
            ModelConfig config = checkpoint.config();
            PairScales scales = new PairScales(source, HeadTie.of(config));
            Random random = new Random(8);
            float[] wanted = new float[config.hiddenSize()];
            for (int i = 0; i < wanted.length; i++) {
                wanted[i] = (float) Math.exp(2 * random.nextGaussian());
            }
            float[] powers = scales.possible(ScalePair.MLP_NORM, wanted);
            scales.set(ScalePair.MLP_NORM, powers);
            assertThat(powers).contains(1f, 2f, 0.5f, 4f);
            DecoderLayer scaled = scaledLayer(source, scales);
            assertThat(logits(scaled, config, checkpoint, backend))
                    .isEqualTo(logits(original, config, checkpoint, backend));
            assertThat(scaled.postAttentionNorm()).isNotEqualTo(original.postAttentionNorm());
        }
    }

    private static float[] logits(DecoderLayer layer, ModelConfig config, Checkpoint checkpoint, Backend backend) {
        Weight router = ((ExpertMlps) layer.feedForward()).router();
        try (Forward forward = new Forward(config, backend);
                Matrix hidden = forward.embed(
                        new DenseWeight(checkpoint.tensor(TensorNames.EMBEDDING)), new int[] {1, 7, 30, 2, 9, 41});
                Matrix logits = backend.allocateSingle(6, router.outFeatures())) {
            backend.rmsNorm(hidden, layer.postAttentionNorm(), config.rmsNormEps(), hidden);
            backend.linear(router, hidden, logits);
            return backend.download(logits);
        }
    }

    @Test
    void tied_heads_share_the_scale_of_their_kv_head() {
        HeadTie tie = new HeadTie(4, 2, 2, 0);
        assertThat(tie.repeat(new float[] {1, 2, 3, 4})).containsExactly(1, 2, 1, 2, 3, 4, 3, 4);
        assertThat(tie.mean(new double[] {1, 2, 3, 4, 5, 6, 7, 8})).containsExactly(2, 3, 6, 7);
        assertThat(new HeadTie(2, 2, 2, 0).repeat(new float[] {1, 2, 3, 4})).containsExactly(1, 2, 3, 4);
    }

    @Test
    void rows_of_keys_in_front_of_a_heads_values_are_not_scaled() {
        assertThat(new HeadTie(2, 2, 2, 3).rows(new float[] {5, 6, 7, 8}))
                .containsExactly(1, 1, 1, 5, 6, 1, 1, 1, 7, 8);
        assertThat(new HeadTie(4, 2, 2, 0).rows(new float[] {5, 6, 7, 8})).containsExactly(5, 6, 7, 8);
    }

    @Test
    void a_folded_norm_times_its_effective_scale_is_the_norm() {
        float[] norm = {1f, 0.333f, 0f, -2.5f, 60000f, 1e-7f};
        float[] scale = {3f, 0.7f, 5f, 1.1f, 1e-3f, 1e4f};
        FoldedNorm folded = FoldedNorm.of(norm, scale, 0);
        for (int i = 0; i < norm.length; i++) {
            float half = Float.float16ToFloat(folded.norm()[i]);
            assertThat(half).isFinite();
            assertThat(half * folded.effective()[i]).isCloseTo(norm[i], within(Math.abs(norm[i]) * 1e-6f));
            assertThat(folded.effective()[i]).isPositive().isFinite();
        }
        assertThat(folded.effective()[0]).isCloseTo(3f, within(0.002f));
    }

    @Test
    void a_norm_stored_less_one_is_folded_by_its_gain() {
        float[] gain = {1f, 0.333f, 0f, 2.5f, 1e-3f, 40f};
        float[] scale = {3f, 0.7f, 5f, 1.1f, 1e4f, 9f};
        FoldedNorm folded = FoldedNorm.of(gain, scale, 1);
        for (int i = 0; i < gain.length; i++) {
            float stored = 1 + Float.float16ToFloat(folded.norm()[i]);
            assertThat(stored * folded.effective()[i]).isCloseTo(gain[i], within(gain[i] * 1e-6f));
            assertThat(folded.effective()[i]).isPositive().isFinite();
        }
        for (int i : new int[] {0, 1, 3, 5}) {
            int bits = Float.floatToRawIntBits(Float.float16ToFloat(folded.norm()[i]));
            assertThat(bits & 0xffff).as("bits that bf16 has not").isZero();
        }
        assertThat(folded.effective()[0]).isCloseTo(3f, within(0.02f));
    }

    @Test
    void candidates_are_normalised_and_survive_dead_channels() {
        double[] x = {0, 1e-3, 2, 50};
        double[] w = {0, 0.1, 0.5, 1};
        assertThat(Candidate.grid()).hasSize(40);
        for (Candidate candidate : Candidate.grid()) {
            float[] s = candidate.scales(x, w);
            float least = Float.MAX_VALUE;
            float greatest = 0;
            for (float value : s) {
                assertThat(value).isPositive().isFinite();
                least = Math.min(least, value);
                greatest = Math.max(greatest, value);
            }
            assertThat(least * greatest).isCloseTo(1f, within(1e-4f));
        }
        float[] ones = new float[4];
        Arrays.fill(ones, 1f);
        assertThat(Candidate.IDENTITY.scales(x, w)).isEqualTo(ones);
    }

    private static DecoderLayer scaledLayer(LayerSource source, PairScales scales) {
        Map<LayerLinear, DenseWeight> weights = new TreeMap<>();
        for (LayerLinear name : source.names()) {
            ScaledLinear linear = ((HostLinearQuantizer) source.linear(name)).in(scales.basis(name));
            float[] values = new float[linear.weights().length];
            for (int row = 0; row < linear.outFeatures(); row++) {
                linear.scaledRow(row, values, row * linear.inFeatures());
            }
            weights.put(
                    name,
                    new DenseWeight(new TensorView(
                            name.toString(),
                            DType.F32,
                            Shape.of(linear.outFeatures(), linear.inFeatures()),
                            MemorySegment.ofArray(values))));
        }
        return new QuantizedLayer(
                        source.layer(),
                        scales.foldedNorm(LayerNorm.ATTENTION_IN),
                        Map.of(),
                        scales.foldedNorm(LayerNorm.MLP_IN),
                        source.normOffset(),
                        scales.foldedBiases(),
                        QuantizedLayer.halves(source.queryNorm()),
                        QuantizedLayer.halves(source.keyNorm()),
                        scales.innerNorms(),
                        scales.foldedVectors(),
                        scales.router())
                .toDecoderLayer(weights);
    }

    private static float[] run(DecoderLayer layer, ModelConfig config, Checkpoint checkpoint, Backend backend) {
        int[] ids = {1, 7, 30, 2, 9, 41, 41, 3};
        try (Forward forward = new Forward(config, backend);
                Matrix hidden = forward.embed(new DenseWeight(checkpoint.tensor(TensorNames.EMBEDDING)), ids)) {
            forward.layer(layer, hidden, 1, Taps.NONE);
            return backend.download(hidden);
        }
    }
}
