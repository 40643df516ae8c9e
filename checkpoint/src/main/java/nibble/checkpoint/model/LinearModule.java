package nibble.checkpoint.model;

import java.util.List;
import java.util.stream.Stream;

/**
 * Describes a linear layer as a checkpoint stores it: one of the seven, or several that share their input fused into
 * one tensor, the rows of one part after those of the part before.
 *
 * @param path the module's path inside its decoder layer, as {@code self_attn.qkv_proj}
 * @param parts the linears it holds, in the order of their rows
 * @param expert whose they are; {@link Expert#NONE} for attention and for the MLP of a layer without experts
 */
public record LinearModule(String path, List<Linear> parts, Expert expert) {
    /** The linears of an MLP. */
    static final List<Linear> MLP = List.of(Linear.GATE, Linear.UP, Linear.DOWN);

    private static final List<LinearModule> DENSE =
            MLP.stream().map(LinearModule::of).toList();

    public LinearModule {
        parts = List.copyOf(parts);
    }

    /** Makes a module of attention, or of the MLP of a layer without experts. */
    public LinearModule(String path, List<Linear> parts) {
        this(path, parts, Expert.NONE);
    }

    /** Returns a linear that is stored by itself. */
    public static LinearModule of(Linear linear) {
        return new LinearModule(linear.path(), List.of(linear));
    }

    /**
     * Returns the linears of a layer whose keys and values come from a narrow vector, each stored by itself.
     *
     * @param query whether queries come from one too
     */
    static List<LinearModule> latent(boolean query) {
        Stream<Linear> attention = query
                ? Stream.of(Linear.Q_A, Linear.Q_B, Linear.KV_A, Linear.KV_B, Linear.O)
                : Stream.of(Linear.Q, Linear.KV_A, Linear.KV_B, Linear.O);
        return Stream.concat(attention.map(LinearModule::of), DENSE.stream()).toList();
    }

    /**
     * Returns the module's full name, as {@code model.layers.17.self_attn.qkv_proj}; its fp16 weight adds {@code
     * .weight}.
     */
    public String name(int layer) {
        return TensorNames.layer(layer) + path;
    }

    /** Returns the input that its parts read. */
    public LinearInput input() {
        return parts.getFirst().input();
    }

    /** Returns whether it is part of a layer's MLP, or of one of its experts. */
    public boolean isMlp() {
        return parts.getFirst().isMlp();
    }

    public boolean isFused() {
        return parts.size() > 1;
    }
}
