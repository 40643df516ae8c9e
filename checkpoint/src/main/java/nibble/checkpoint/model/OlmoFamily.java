package nibble.checkpoint.model;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.model.keys.ConfigDefaults;
import nibble.checkpoint.model.layer.HeadNorm;
import nibble.checkpoint.model.layer.LayerNorm;
import nibble.checkpoint.source.ConfigKeys;

/** Holds OLMo 2 and 3: norms behind attention and MLP and none in front, norms over all heads together. */
public final class OlmoFamily {
    /** llama.cpp has one name for both. */
    private static final GgufTraits GGUF = new GgufTraits("olmo2").withSquareHeads();

    public static final Architecture OLMO2 = new NormsBehind("Olmo2ForCausalLM", "olmo2", GGUF);

    /** A window in three layers of four; rope is scaled in the others only. */
    public static final Architecture OLMO3 = new NormsBehind("Olmo3ForCausalLM", "olmo3", GGUF.withAllEvery(4)) {
        @Override
        Optional<Integer> window(ConfigKeys keys) {
            return windowOr(keys, 4096);
        }

        @Override
        boolean slides(ConfigKeys keys, int layer) {
            return (layer + 1) % 4 != 0;
        }

        @Override
        double theta(String kind) {
            return 5e5;
        }

        @Override
        public boolean ropeDiffers() {
            return true;
        }
    };

    static final List<Architecture> ALL = List.of(OLMO2, OLMO3);

    private OlmoFamily() {}

    private static class NormsBehind extends Architecture {
        NormsBehind(String className, String modelType, GgufTraits gguf) {
            super(className, modelType, gguf, new ConfigDefaults(2048, List.of(), List.of(50_279)));
        }

        @Override
        public Map<LayerNorm, String> norms() {
            return Map.of(
                    LayerNorm.ATTENTION_OUT, "post_attention_layernorm",
                    LayerNorm.MLP_OUT, "post_feedforward_layernorm");
        }

        @Override
        public HeadNorm headNorm() {
            return HeadNorm.ALL_HEADS;
        }
    }
}
