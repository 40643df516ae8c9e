package nibble.pack;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.quantization.QuantizationConfig;

/** Says which group sizes a model's linears can be quantized with: those that divide the in-features of every one. */
public final class GroupSizes {
    private static final List<Integer> ALL = QuantizationConfig.GROUP_SIZES;

    private GroupSizes() {}

    /**
     * Returns the sizes that divide the in-features of every linear, the largest first; whole rows always do and are
     * not among them.
     */
    public static List<Integer> dividing(ModelConfig config) {
        return ALL.stream()
                .filter(size -> inFeatures(config).allMatch(columns -> columns % size == 0))
                .toList();
    }

    /** Returns the largest size that divides all, or whole rows where none does. */
    public static int largest(ModelConfig config) {
        return dividing(config).stream().findFirst().orElse(QuantizationSpec.WHOLE_ROW);
    }

    /** Returns the different numbers of in-features, as {@code 576 and 1536}. */
    public static String columns(ModelConfig config) {
        return inFeatures(config).distinct().sorted().mapToObj(String::valueOf).collect(Collectors.joining(" and "));
    }

    /** Says what to give instead of a size that does not divide. */
    public static String advice(ModelConfig config) {
        List<Integer> sizes = dividing(config);
        String columns = "rows of " + columns(config) + " columns";
        if (sizes.isEmpty()) {
            return "none of " + join(ALL) + " divides this model's " + columns + "; give -1 for whole rows";
        }
        return join(sizes) + (sizes.size() == 1 ? " divides" : " divide") + " this model's " + columns
                + ", -1 takes whole rows, --group-size auto takes " + sizes.getFirst();
    }

    private static String join(List<Integer> sizes) {
        return sizes.stream().map(String::valueOf).collect(Collectors.joining(", "));
    }

    private static IntStream inFeatures(ModelConfig config) {
        return IntStream.range(0, config.layers())
                .boxed()
                .flatMap(layer -> config.modules(layer).stream())
                .mapToInt(config::inFeatures)
                .distinct();
    }
}
