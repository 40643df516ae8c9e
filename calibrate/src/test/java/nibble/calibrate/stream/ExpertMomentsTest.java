package nibble.calibrate.stream;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.LayerLinear;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearInput;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.engine.Backends;
import nibble.engine.backend.Backend;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.quantize.Basis;
import nibble.engine.quantize.FitSteps;
import nibble.engine.quantize.LinearQuantizer;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.DenseWeight;
import nibble.pack.QuantizationSpec;
import nibble.pack.QuantizedLinear;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Experts that take turns have the moments of experts that are measured together, to the bit. */
class ExpertMomentsTest {
    @ParameterizedTest
    @ValueSource(strings = {"mixtral", "qwen2-moe"})
    void experts_have_the_same_moments_one_at_a_time_and_together(String model) {
        Path folder = Path.of("..", "checkpoint", "src", "test", "resources", "architectures", model);
        try (Checkpoint checkpoint = Checkpoint.open(folder);
                Backend backend = Backends.open("cpu", 2)) {
            Experts experts = checkpoint.config().experts(0).orElseThrow();
            List<List<Expert>> alone = experts.all().stream().map(List::of).toList();
            List<QuantizedLinear> together = downs(checkpoint, backend, experts, List.of(experts.all()));
            List<QuantizedLinear> oneByOne = downs(checkpoint, backend, experts, alone);
            assertThat(oneByOne).hasSize(experts.all().size());
            for (int i = 0; i < oneByOne.size(); i++) {
                assertThat(oneByOne.get(i).codes()).isEqualTo(together.get(i).codes());
                assertThat(oneByOne.get(i).scales()).isEqualTo(together.get(i).scales());
            }
        }
    }

    /** Down of each expert, fitted by its moments. */
    private static List<QuantizedLinear> downs(
            Checkpoint checkpoint, Backend backend, Experts experts, List<List<Expert>> turns) {
        ModelConfig config = checkpoint.config();
        QuantizationDevices devices = QuantizationDevices.of(backend);
        DecoderLayer layer = DecoderLayer.read(checkpoint, 0).expanded();
        Random random = new Random(6);
        int[][] blocks = new int[6][30];
        for (int[] block : blocks) {
            Arrays.setAll(block, _ -> random.nextInt(256));
        }
        List<QuantizedLinear> fitted = new ArrayList<>();
        try (PairedStream stream = PairedStream.ofEmbeddings(
                config, new DenseWeight(checkpoint.tensor(TensorNames.EMBEDDING)), blocks, devices)) {
            ExpertTokens tokens = new ExpertTokens(config, experts, stream.tokens());
            for (List<Expert> turn : turns) {
                Map<Expert, PairedMoments> moments = stream.expertMoments(
                        LinearInput.DOWN,
                        List.of(layer),
                        List.of(layer),
                        turn,
                        tokens,
                        turn == turns.getLast(),
                        _ -> {});
                for (Expert expert : turn) {
                    LayerLinear down = new LayerLinear(Linear.DOWN, expert);
                    DenseWeight weight = (DenseWeight) layer.weight(Linear.DOWN, expert);
                    try (LinearQuantizer quantizer =
                            backend.quantizer(weight, weight, Path.of(down.toString()), new QuantizationSpec(4, 32))) {
                        PairedMoments its = Objects.requireNonNull(moments.get(expert));
                        fitted.add(
                                quantizer.fit(Basis.ORIGINAL, its, FitSteps.ALL).linear());
                    }
                }
                moments.values().forEach(PairedMoments::close);
            }
        }
        return fitted;
    }
}
