package nibble.engine.cuda;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import nibble.checkpoint.model.Experts;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.ExpertMlps;
import nibble.engine.tensor.Mlp;
import nibble.engine.tensor.Weight;

/**
 * Describes a model's experts as {@code decode_experts.cuh} takes them: those of a layer have one shape and type, and
 * lie at a stride from the first.
 *
 * @param config null for a model without experts
 */
record DecodedExperts(Optional<Experts> config) {
    private static final int MOST = 256;
    /** Warps that compute: phases are short, and 11 were 5 % faster than 8 or 12 for Qwen3-30B-A3B's shape. */
    private static final int WARPS = 11;

    private static final int MOST_CHOSEN = 16;
    /** Gate and up, and with it down, begin at multiples of this many values. */
    private static final int WIDTH_STEP = 32;

    /** Returns the experts of a model whose layers are on the card, unless the kernel does not compute such. */
    static Optional<DecodedExperts> of(CudaPlacedModel model) {
        Optional<Experts> config = model.config().experts();
        if (config.isPresent()) {
            Experts experts = config.get();
            boolean shapes = experts.choice()
                            .equals(Experts.Choice.ofAll(experts.choice().normalized()))
                    && experts.count() <= MOST
                    && experts.chosen() <= MOST_CHOSEN
                    && experts.width() % WIDTH_STEP == 0
                    && experts.shared().width() % WIDTH_STEP == 0;
            if (!shapes) {
                return Optional.empty();
            }
            for (int i = 0; i < model.config().layers(); i++) {
                if (model.layer(i).feedForward() instanceof ExpertMlps mlps && !fits(mlps)) {
                    return Optional.empty();
                }
            }
        }
        return Optional.of(new DecodedExperts(config));
    }

    private static boolean fits(ExpertMlps mlps) {
        return mlps.router() instanceof CudaWeight.Dense
                && mlps.routerBias().length == 0
                && mlps.mlps().stream().allMatch(mlp -> mlp.biases().isEmpty())
                && mlps.sharedGate().stream().allMatch(CudaWeight.Dense.class::isInstance)
                && atStride(mlps.routed(), Mlp::gate)
                && atStride(mlps.routed(), Mlp::down);
    }

    private static boolean atStride(List<Mlp> mlps, Function<Mlp, Weight> of) {
        long first = DecodedTypes.typed(of.apply(mlps.getFirst()));
        long stride = stride(mlps, of);
        for (int i = 0; i < mlps.size(); i++) {
            if (DecodedTypes.typed(of.apply(mlps.get(i))) != first + i * stride) {
                return false;
            }
        }
        return true;
    }

    /** Returns the bytes from an expert's matrix to the next one's. */
    static long stride(List<Mlp> mlps, Function<Mlp, Weight> of) {
        return mlps.size() == 1
                ? 0
                : DecodedTypes.address(of.apply(mlps.get(1))) - DecodedTypes.address(of.apply(mlps.getFirst()));
    }

    /** Returns the constants that the kernel is compiled with. */
    Map<String, Integer> constants() {
        Map<String, Integer> constants = new HashMap<>();
        config.ifPresent(experts -> {
            constants.put("WARPS", WARPS);
            constants.put("EXPERTS", experts.count());
            constants.put("CHOSEN", experts.chosen());
            constants.put("SUM_OF_ONE", experts.choice().normalized() ? 1 : 0);
            constants.put(
                    "SHARED", !experts.shared().exists() ? 0 : experts.shared().gated() ? 2 : 1);
        });
        return constants;
    }

    /** Returns the scores of a layer. */
    int scores() {
        return config.map(experts -> experts.count() + 1).orElse(0);
    }

    int width() {
        return config.map(Experts::width).orElse(0);
    }

    int sharedWidth() {
        return config.map(experts -> experts.shared().width()).orElse(0);
    }

    /** Returns the values that go into down of all experts that a token passes. */
    int gated() {
        return config.map(experts -> experts.chosen() * experts.width()).orElse(0) + sharedWidth();
    }

    /** Returns the same, of each expert rounded up to units of so many columns. */
    int gatedInUnits(int columns) {
        int expert = Math.ceilDiv(width(), columns) * columns;
        return config.map(experts -> experts.chosen() * expert).orElse(0)
                + Math.ceilDiv(sharedWidth(), columns) * columns;
    }

    /** Returns gate and up together, and down, of a layer's only MLP or first expert. */
    static List<Long> first(DecoderLayer layer) {
        Mlp first = layer.feedForward().mlps().getFirst();
        return List.of(DecodedTypes.typed(first.gate()), DecodedTypes.typed(first.down()));
    }

    /** Returns what {@code struct Layer} has of a layer's experts, zeros for one MLP; nothing without experts. */
    List<Long> pointers(DecoderLayer layer) {
        if (config.isEmpty()) {
            return List.of();
        }
        if (!(layer.feedForward() instanceof ExpertMlps mlps)) {
            return List.of(0L, 0L, 0L, 0L, 0L, 0L);
        }
        return List.of(
                DecodedTypes.address(mlps.router()),
                stride(mlps.routed(), Mlp::gate),
                stride(mlps.routed(), Mlp::down),
                mlps.shared().map(mlp -> DecodedTypes.typed(mlp.gate())).orElse(0L),
                mlps.shared().map(mlp -> DecodedTypes.typed(mlp.down())).orElse(0L),
                mlps.sharedGate().map(DecodedTypes::address).orElse(0L));
    }
}
