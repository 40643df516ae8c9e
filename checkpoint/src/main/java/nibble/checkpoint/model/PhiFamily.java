package nibble.checkpoint.model;

import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.source.ConfigKeys;

/** Holds Phi-3, which Phi-3.5 and Phi-4 are too. */
public final class PhiFamily {
    /** Query, key and value projections in one tensor, gate and up in another; perhaps a window, rope of a part. */
    public static final Architecture PHI3 =
            new Architecture(
                    "Phi3ForCausalLM",
                    "phi3",
                    new GgufTraits("phi3").withSquareHeads(),
                    new ConfigDefaults(4096, List.of(1), List.of(32_000))) {
                private static final List<LinearModule> FUSED = List.of(
                        new LinearModule("self_attn.qkv_proj", List.of(Linear.Q, Linear.K, Linear.V)),
                        LinearModule.of(Linear.O),
                        new LinearModule("mlp.gate_up_proj", List.of(Linear.GATE, Linear.UP)),
                        LinearModule.of(Linear.DOWN));

                @Override
                public List<LinearModule> modules() {
                    return FUSED;
                }

                @Override
                Set<Linear> biases(ConfigKeys keys) {
                    return EnumSet.noneOf(Linear.class);
                }

                @Override
                Optional<Integer> window(ConfigKeys keys) {
                    return keys.integerIfPresent(WINDOW, 1, Integer.MAX_VALUE);
                }

                @Override
                public boolean turnsPartly() {
                    return true;
                }

                @Override
                String ropeType(String name) {
                    // Phi-3's first configs have these words for it.
                    return name.equals("su") || name.equals("yarn") ? "longrope" : name;
                }
            };

    static final List<Architecture> ALL = List.of(PHI3);

    private PhiFamily() {}
}
