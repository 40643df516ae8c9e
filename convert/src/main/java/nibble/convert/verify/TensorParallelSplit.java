package nibble.convert.verify;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.StoredLinear;
import nibble.checkpoint.model.quantization.QuantizationConfig;
import nibble.checkpoint.source.Finding;

/**
 * Says whether the quantized linears can be split over a number of devices, as servers do: q, k, v, gate and up by
 * output features, which come eight 4-bit codes to a packed word; o and down by input features, which come a group at
 * a time; heads whole.
 *
 * @param devices 1, 2, 4 or 8
 * @param aligned whether every linear can be split so
 * @param obstacle the first that cannot, and why; empty if all can
 */
public record TensorParallelSplit(int devices, boolean aligned, String obstacle) {
    private static final int[] DEVICES = {1, 2, 4, 8};

    /**
     * The four splits of a model; empty if it is not quantized. A model that does not even fit one device is an error.
     */
    static List<TensorParallelSplit> of(ModelConfig config, Consumer<Finding> findings) {
        List<TensorParallelSplit> splits = new ArrayList<>();
        if (config.quantization().isEmpty()) {
            return splits;
        }
        for (int devices : DEVICES) {
            String obstacle = obstacle(config, config.quantization().get(), devices);
            splits.add(new TensorParallelSplit(devices, obstacle.isEmpty(), obstacle));
            if (!obstacle.isEmpty()) {
                String message = "split over " + devices + " device" + (devices == 1 ? "" : "s") + ": " + obstacle
                        + "; a smaller group size aligns more splits";
                findings.accept(
                        devices == 1
                                ? Finding.error("tensor-parallel", message)
                                : Finding.warning("tensor-parallel", message));
            }
        }
        return splits;
    }

    private static String obstacle(ModelConfig config, QuantizationConfig quantization, int devices) {
        if (config.heads() % devices != 0) {
            return config.heads() + " attention heads are not a multiple of " + devices;
        }
        // Servers give devices beyond the number of key/value heads a copy of one.
        if (config.kvHeads() % devices != 0 && devices % config.kvHeads() != 0) {
            return config.kvHeads() + " key/value heads neither divide " + devices + " nor are a multiple of it";
        }
        List<StoredLinear> linears = IntStream.range(0, config.layers())
                .boxed()
                .flatMap(layer -> config.linears(layer).stream())
                .toList();
        for (StoredLinear stored : linears) {
            Linear linear = stored.linear();
            int in = stored.inFeatures();
            int out = stored.outFeatures();
            boolean byInput = linear == Linear.O || linear == Linear.DOWN;
            int group = quantization.columnsPerGroup(in);
            if (byInput && quantization.groupSize() != -1 && in % (devices * group) != 0) {
                return stored.module().path() + " has " + in + " input features, a device's share of " + in + "/"
                        + devices + " is not a multiple of the group size " + group;
            }
            if (byInput && quantization.groupSize() == -1 && devices > 1) {
                return stored.module().path()
                        + " has one group a row (group size -1), which cannot be split by input features";
            }
            int copies = switch (linear) {
                // Each device has the whole of what gives a narrow vector.
                case Q_A, KV_A -> 1;
                case K, V -> Math.min(devices, config.kvHeads());
                default -> devices;
            };
            int perWord = Integer.SIZE / quantization.bits();
            if (!byInput && out % (copies * perWord) != 0) {
                return stored.module().path() + " has " + out + " output features, a device's share of " + out + "/"
                        + copies + " is not a multiple of " + perWord + ", the codes of a packed word";
            }
        }
        return "";
    }
}
