package nibble.checkpoint.model;

import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.source.ConfigKeys;

/** Holds Phi-3, which Phi-3.5 and Phi-4 are too, and Phi-3.5-MoE. */
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

    /**
     * Phi-3.5-MoE: LayerNorm, biases of attention and perhaps of the head, two experts that a sparse mixer weighs, two
     * factors of longrope. Published files name the class in their own way, which vLLM and llama.cpp know.
     */
    public static final Architecture PHI_MOE =
            new Architecture(
                    "PhiMoEForCausalLM",
                    "phimoe",
                    new GgufTraits("phimoe").withSquareHeads().withAllBiases(),
                    new ConfigDefaults(131_072, List.of(1), List.of(2)).withKvHeads(8)) {
                @Override
                boolean isNamed(String name) {
                    return super.isNamed(name) || name.equals("PhimoeForCausalLM") || name.equals("PhimoeModel");
                }

                @Override
                Set<String> ownKeys() {
                    return Set.of(HEAD_BIAS);
                }

                @Override
                public boolean mayBiasHead() {
                    return true;
                }

                @Override
                Set<Linear> biases(ConfigKeys keys) {
                    // Read elsewhere; a value of another type is refused here.
                    keys.flag(HEAD_BIAS, false);
                    return super.biases(keys);
                }

                @Override
                public boolean centersNorms() {
                    return true;
                }

                @Override
                public boolean biasesNorms() {
                    return true;
                }

                @Override
                public boolean mixesExperts() {
                    return true;
                }

                @Override
                public Optional<Experts.Names> expertNames() {
                    return Optional.of(Experts.Names.MIXTRAL);
                }

                /** It is a Linear there. */
                @Override
                Optional<String> loadedRouter() {
                    return Optional.of("mlp.router");
                }

                @Override
                Optional<Experts> experts(ConfigKeys keys) {
                    return Optional.of(ExpertKeys.phi(keys));
                }

                @Override
                Optional<Integer> window(ConfigKeys keys) {
                    return keys.integerIfPresent(WINDOW, 1, Integer.MAX_VALUE);
                }

                @Override
                double theta(String kind) {
                    return 1_000_000;
                }

                @Override
                public boolean scalesByLength() {
                    return true;
                }

                @Override
                String ropeType(String name) {
                    return PHI3.ropeType(name);
                }
            };

    static final List<Architecture> ALL = List.of(PHI3, PHI_MOE);

    private PhiFamily() {}
}
