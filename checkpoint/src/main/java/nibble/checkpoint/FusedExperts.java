package nibble.checkpoint;

import java.util.LinkedHashMap;
import java.util.SequencedMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorSpec;

/**
 * Experts that lie together in one tensor, as transformers 5 holds them in memory and writes them if it is not asked
 * for the model's original form. Each becomes the tensors that it has by itself.
 *
 * <pre>
 * model.layers.N.mlp.experts.gate_up_proj  [experts, 2 · width, hidden]   gate's rows, then up's
 * model.layers.N.mlp.experts.down_proj     [experts, hidden, width]
 * model.layers.N.mlp.gate.weight           the router, whatever the architecture calls it
 * </pre>
 */
final class FusedExperts {
    private static final Pattern FUSED = Pattern.compile(
            "model\\.layers\\.(\\d{1,9})\\.(?:mlp|block_sparse_moe)\\.(experts\\.(?:gate_up|down)_proj)");
    private static final Pattern ROUTER = Pattern.compile("model\\.layers\\.(\\d{1,9})\\.mlp\\.gate\\.weight");

    private FusedExperts() {}

    /**
     * Returns the tensors with those of experts by themselves, in the same order.
     *
     * @throws BadCheckpointException if a tensor of experts has another shape than the config asks for, or an expert is
     *     there by itself, too
     */
    static SequencedMap<String, StoredTensor> split(ModelConfig config, SequencedMap<String, StoredTensor> tensors) {
        if (config.experts().isEmpty()
                || config.experts().get().names().areTransposed()
                || tensors.keySet().stream()
                        .noneMatch(name -> FUSED.matcher(name).matches())) {
            return tensors;
        }
        Experts experts = config.experts().get();
        SequencedMap<String, StoredTensor> split = new LinkedHashMap<>();
        tensors.forEach((name, tensor) -> {
            Matcher fused = FUSED.matcher(name);
            Matcher router = ROUTER.matcher(name);
            if (fused.matches()) {
                split(config, experts, Integer.parseInt(fused.group(1)), tensor, split);
            } else {
                String own = router.matches() ? experts.router(Integer.parseInt(router.group(1))) : name;
                add(split, own.equals(name) ? tensor : tensor.named(own));
            }
        });
        return split;
    }

    private static void split(
            ModelConfig config,
            Experts experts,
            int layer,
            StoredTensor tensor,
            SequencedMap<String, StoredTensor> into) {
        boolean down = tensor.name().endsWith("down_proj");
        Shape expected = down
                ? Shape.of(experts.count(), config.hiddenSize(), experts.width())
                : Shape.of(experts.count(), 2 * experts.width(), config.hiddenSize());
        if (!tensor.spec().shape().equals(expected)) {
            throw new BadCheckpointException(
                    tensor.file(),
                    "tensor " + tensor.name() + ": found shape " + tensor.spec().shape()
                            + ", config.json asks for " + expected + ", " + experts.count()
                            + " experts; config and weights are of different models, get both again");
        }
        long perExpert = expected.elements() / experts.count();
        for (int index = 0; index < experts.count(); index++) {
            long first = index * perExpert;
            for (LinearModule module : experts.modules(new Expert(index))) {
                if (module.parts().contains(Linear.DOWN) != down) {
                    continue;
                }
                TensorSpec spec = config.spec(module, layer);
                TensorSpec stored = new TensorSpec(spec.name(), tensor.spec().dtype(), spec.shape());
                add(into, tensor.part(stored, first));
                first += spec.shape().elements();
            }
        }
    }

    private static void add(SequencedMap<String, StoredTensor> into, StoredTensor tensor) {
        if (into.put(tensor.name(), tensor) != null) {
            throw new BadCheckpointException(
                    tensor.file(),
                    "tensor " + tensor.name() + " is there twice, by itself and fused with others or under the name of"
                            + " another class; get the checkpoint again");
        }
    }
}
