package nibble.checkpoint.model;

import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.source.ConfigKeys;

/** Holds Qwen 2 and 3: the window, where it is used, is that of the later layers. */
public final class QwenFamily {
    /** How the window of Qwen 2 and its kin is used. */
    static final Architecture WINDOWED = new Windowed("", "", new ConfigDefaults(0, List.of(), List.of()));

    /** Biases of the query, key and value projections. */
    public static final Architecture QWEN2 =
            new Windowed(
                    "Qwen2ForCausalLM", "qwen2", new ConfigDefaults(32_768, List.of(), List.of()).withKvHeads(32)) {
                @Override
                Set<Linear> biases(ConfigKeys keys) {
                    return EnumSet.of(Linear.Q, Linear.K, Linear.V);
                }
            };

    /** An RMSNorm over each query and key head before rope; heads of a width of their own. */
    public static final Architecture QWEN3 =
            new Windowed(
                    "Qwen3ForCausalLM",
                    "qwen3",
                    new ConfigDefaults(32_768, List.of(), List.of())
                            .withHeadDim(128)
                            .withKvHeads(32)) {
                @Override
                public HeadNorm headNorm() {
                    return HeadNorm.EACH_HEAD;
                }
            };

    static final List<Architecture> ALL = List.of(QWEN2, QWEN3);

    private QwenFamily() {}

    /** A window, if it is used at all, from layer {@code max_window_layers} on. */
    static class Windowed extends Architecture {
        Windowed(String className, String name, ConfigDefaults defaults) {
            super(className, name, new GgufTraits(name), defaults);
        }

        @Override
        Optional<Integer> window(ConfigKeys keys) {
            return keys.flag("use_sliding_window", false) ? windowOr(keys, 4096) : Optional.empty();
        }

        @Override
        boolean slides(ConfigKeys keys, int layer) {
            return layer
                    >= keys.integerIfPresent("max_window_layers", 0, Integer.MAX_VALUE)
                            .orElse(28);
        }
    }
}
