package nibble.checkpoint.gguf;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import nibble.checkpoint.model.Architecture;
import nibble.checkpoint.model.Expert;
import nibble.checkpoint.model.Experts;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.TensorNames;

/** Translates how a GGUF file of an architecture names and arranges what a Hugging Face checkpoint holds. */
public final class GgufNames {
    private static final Pattern LAYER = Pattern.compile("model\\.layers\\.(\\d+)\\.(.+)");

    /** The router, {@code [experts, hidden]}. */
    public static final String ROUTER = "ffn_gate_inp.weight";

    /** The gate of the shared expert, {@code [1, hidden]}; files may leave the 1 out. */
    public static final String SHARED_GATE = "ffn_gate_inp_shexp.weight";

    private static final String STACKED = "_exps";

    private GgufNames() {}

    /** Returns the name that stands for a module between {@code blk.N.} and {@code .weight}. */
    public static String linear(LinearModule module) {
        return switch (module.parts().getFirst()) {
            case Q -> module.isFused() ? "attn_qkv" : "attn_q";
            case Q_A -> "attn_q_a";
            case Q_B -> "attn_q_b";
            case KV_A -> "attn_kv_a_mqa";
            case KV_B -> "attn_kv_b";
            case K -> "attn_k";
            case V -> "attn_v";
            case O -> "attn_output";
            case GATE -> (module.isFused() ? "ffn_up" : "ffn_gate") + expert(module.expert());
            case UP -> "ffn_up" + expert(module.expert());
            case DOWN -> "ffn_down" + expert(module.expert());
        };
    }

    /** The routed experts of a layer are one tensor in the file. */
    private static String expert(Expert expert) {
        return expert.isRouted() ? STACKED : expert.equals(Expert.SHARED) ? "_shexp" : "";
    }

    /**
     * Returns which linear of all routed experts a tensor holds, or the biases of which one, by its name inside {@code
     * blk.N.}.
     */
    static Optional<Linear> stacked(String within) {
        String name = within.substring(0, within.lastIndexOf('.'));
        return Stream.of(Linear.GATE, Linear.UP, Linear.DOWN)
                .filter(linear -> name.equals(linear(new LinearModule(linear.path(), List.of(linear), new Expert(0)))))
                .findFirst();
    }

    /**
     * Returns whether the rows of query and key heads are interleaved ({@link nibble.checkpoint.tensor.HeadRows}):
     * llama.cpp turns neighbours
     * by rope in some architectures, and halves as Hugging Face in the others.
     */
    public static boolean interleavesHeads(Architecture architecture) {
        return architecture.gguf().interleaved();
    }

    /** Returns whether linears that a checkpoint of the architecture has fused are fused in a GGUF file too. */
    public static boolean fuses(Architecture architecture) {
        return architecture.ggufName().equals("phi3");
    }

    /** Names inside {@code model.layers.N.} by those inside {@code blk.N.}. */
    static Map<String, String> layerNames(Architecture architecture) {
        Map<String, String> names = new LinkedHashMap<>();
        architecture.norms().forEach((norm, name) -> {
            names.put(architecture.ggufNorm(norm) + ".weight", name + ".weight");
            if (architecture.biasesNorms()) {
                names.put(architecture.ggufNorm(norm) + ".bias", name + ".bias");
            }
        });
        if (architecture.hasSinks()) {
            names.put("attn_sinks.weight", "self_attn.sinks");
        }
        names.put("attn_q_norm.weight", "self_attn.q_norm.weight");
        names.put("attn_k_norm.weight", "self_attn.k_norm.weight");
        for (LinearModule module : architecture.modules()) {
            names.put(linear(module) + ".weight", module.path() + ".weight");
        }
        if (architecture.hasLatentAttention()) {
            Stream.of(Linear.Q_A, Linear.Q_B, Linear.KV_A, Linear.KV_B)
                    .forEach(linear ->
                            names.put(linear(LinearModule.of(linear)) + ".weight", linear.path() + ".weight"));
        }
        for (Linear linear : Linear.values()) {
            names.putIfAbsent(bias(linear), linear.path() + ".bias");
        }
        architecture.expertNames().ifPresent(experts -> {
            names.put(ROUTER, experts.router() + ".weight");
            if (architecture.correctsChoice()) {
                names.put("exp_probs_b.bias", experts.router() + TensorNames.CORRECTION);
            }
            if (experts.equals(Experts.Names.GPT_OSS)) {
                names.put("ffn_gate_inp.bias", experts.router() + ".bias");
            }
            if (!experts.shared().isEmpty()) {
                if (!experts.sharedGate().isEmpty()) {
                    names.put(SHARED_GATE, experts.sharedGate() + ".weight");
                }
                for (Linear linear : List.of(Linear.GATE, Linear.UP, Linear.DOWN)) {
                    String path = experts.path(linear, Expert.SHARED);
                    LinearModule shared = new LinearModule(path, List.of(linear), Expert.SHARED);
                    names.put(linear(shared) + ".weight", path + ".weight");
                }
            }
        });
        return names;
    }

    /**
     * Returns the GGUF name of a tensor that a Hugging Face checkpoint of the architecture names {@code name}; else
     * {@code name}.
     */
    public static String of(Architecture architecture, String name) {
        switch (name) {
            case TensorNames.EMBEDDING:
                return "token_embd.weight";
            case TensorNames.FINAL_NORM:
                return "output_norm.weight";
            case TensorNames.FINAL_NORM_BIAS:
                return "output_norm.bias";
            case TensorNames.HEAD:
                return "output.weight";
            case TensorNames.HEAD_BIAS:
                return "output.bias";
            default:
                break;
        }
        Matcher layer = LAYER.matcher(name);
        return layer.matches()
                ? layerNames(architecture).entrySet().stream()
                        .filter(names -> names.getValue().equals(layer.group(2)))
                        .map(names -> "blk." + layer.group(1) + "." + names.getKey())
                        .findFirst()
                        .orElse(name)
                : name;
    }

    /** Returns the bias of a linear, behind {@code blk.N.}. */
    public static String bias(Linear linear) {
        return linear(LinearModule.of(linear)) + ".bias";
    }
}
