package nibble.convert.gguf;

import java.util.Optional;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.quantization.QuantizationConfig;

/** Lists llama.cpp's named mixes: a base type, and more bits where they help most. Norms are F32 in all of them. */
public enum GgufMix {
    F32(0, GgufType.F32),
    F16(1, GgufType.F16),
    BF16(32, GgufType.BF16),
    Q8_0(7, GgufType.Q8_0),
    Q4_0(2, GgufType.Q4_0),
    Q4_1(3, GgufType.Q4_1),
    Q5_0(8, GgufType.Q5_0),
    Q5_1(9, GgufType.Q5_1),
    Q2_K(10, GgufType.Q2_K),
    Q3_K_S(11, GgufType.Q3_K),
    Q3_K_M(12, GgufType.Q3_K),
    Q3_K_L(13, GgufType.Q3_K),
    Q4_K_S(14, GgufType.Q4_K),
    Q4_K_M(15, GgufType.Q4_K),
    Q5_K_S(16, GgufType.Q5_K),
    Q5_K_M(17, GgufType.Q5_K),
    Q6_K(18, GgufType.Q6_K),
    /** Experts in MXFP4, all else in 8 bits. */
    MXFP4_MOE(38, GgufType.Q8_0);

    private final int fileType;
    private final GgufType base;

    GgufMix(int fileType, GgufType base) {
        this.fileType = fileType;
        this.base = base;
    }

    /** Returns {@code general.file_type} of the metadata. */
    public int fileType() {
        return fileType;
    }

    /**
     * Returns the mix of this name in any case, with or without Q3_K, Q4_K, Q5_K's last letter: M where it is absent.
     */
    public static Optional<GgufMix> named(String name) {
        for (GgufMix mix : values()) {
            if (mix.name().equalsIgnoreCase(name) || mix.name().equalsIgnoreCase(name + "_M")) {
                return Optional.of(mix);
            }
        }
        return Optional.empty();
    }

    /** Whether this is the mix that keeps codes and scales of a quantized checkpoint. */
    boolean keeps(QuantizationConfig from) {
        return from.bits() == 4 ? this == Q4_1 : this == Q8_0 && from.symmetric();
    }

    /** Whether weights lose more than a float type rounds away. */
    boolean isQuantized() {
        return switch (this) {
            case F32, F16, BF16 -> false;
            default -> true;
        };
    }

    /** Returns whether scales are searched, so that importance can weigh the search. */
    public boolean searchesScales() {
        return switch (this) {
            case F32, F16, BF16, Q8_0, MXFP4_MOE -> false;
            default -> true;
        };
    }

    /** Returns the type of the embedding; the head's where it is the head too. */
    public GgufType embedding(ModelConfig config) {
        return config.tiedEmbeddings() ? head(config) : fitting(base, config.hiddenSize());
    }

    /** Returns the type of the head. */
    public GgufType head(ModelConfig config) {
        boolean plain = base == GgufType.F32 || base == GgufType.F16 || base == GgufType.BF16 || base == GgufType.Q8_0;
        return fitting(plain ? base : GgufType.Q6_K, config.hiddenSize());
    }

    /** Returns the type of a linear's weight where no importance weighs the search. */
    public GgufType linear(Linear linear, int layer, ModelConfig config) {
        return config.modules(layer).stream()
                .filter(module -> module.parts().contains(linear))
                .map(module -> linear(module, layer, config, false))
                .findFirst()
                .orElseThrow();
    }

    /**
     * Type of a linear's weight.
     *
     * @param weighted whether importance weighs the search, which lets the two symmetric types of 32 elements have a
     *     minimum in the first layers' down projection
     */
    GgufType linear(LinearModule module, int layer, ModelConfig config, boolean weighted) {
        if (this == MXFP4_MOE && module.expert().isRouted()) {
            return fitting(GgufType.MXFP4, config.inFeatures(module));
        }
        GgufType wanted = switch (module.parts().getFirst()) {
            // llama.cpp counts a fused q, k and v as a v.
            case Q -> module.isFused() ? value(layer, config) : base;
            case V -> hasEightExperts(config) && isQuantized() ? GgufType.Q8_0 : value(layer, config);
            case DOWN -> down(layer, config.layers(), weighted);
            case O -> hasEightExperts(config) ? outputBesideEight() : output();
            case K -> hasEightExperts(config) && isQuantized() ? GgufType.Q8_0 : base;
            case GATE, UP, Q_A, Q_B, KV_A, KV_B -> base;
        };
        return fitting(wanted, config.inFeatures(module));
    }

    /** Type of a matrix that llama.cpp treats as no other, of so many columns. */
    GgufType of(int columns) {
        return fitting(base, columns);
    }

    private GgufType output() {
        return switch (this) {
            case Q2_K -> GgufType.Q3_K;
            case Q3_K_M -> GgufType.Q4_K;
            case Q3_K_L -> GgufType.Q5_K;
            default -> base;
        };
    }

    private GgufType outputBesideEight() {
        return switch (this) {
            case Q2_K, Q3_K_S, Q3_K_M, Q4_K_S, Q4_K_M -> GgufType.Q5_K;
            default -> base;
        };
    }

    /** What llama.cpp takes for Mixtral, whose attention is little beside its experts. */
    private static boolean hasEightExperts(ModelConfig config) {
        return config.experts().filter(experts -> experts.count() == 8).isPresent();
    }

    private GgufType value(int layer, ModelConfig config) {
        GgufType type = switch (this) {
            case Q2_K -> config.heads() / config.kvHeads() >= 4 ? GgufType.Q4_K : GgufType.Q3_K;
            case Q3_K_M -> layer < 2 ? GgufType.Q5_K : GgufType.Q4_K;
            case Q3_K_L -> GgufType.Q5_K;
            case Q4_K_S -> layer < 4 ? GgufType.Q5_K : base;
            case Q4_K_M, Q5_K_M -> moreBits(layer, config.layers()) ? GgufType.Q6_K : base;
            default -> base;
        };
        boolean few = type == GgufType.Q3_K || type == GgufType.Q4_K;
        return few && hasSmallValues(config) ? GgufType.Q5_K : type;
    }

    /**
     * What llama.cpp takes for Llama 2 70B, whose v is an eighth of its q: any {@code llama} or {@code qwen2} of 80
     * layers.
     */
    private static boolean hasSmallValues(ModelConfig config) {
        return config.layers() == 80
                && switch (config.architecture().ggufName()) {
                    case "llama" -> config.heads() != config.kvHeads();
                    case "qwen2" -> true;
                    default -> false;
                };
    }

    private GgufType down(int layer, int layers, boolean weighted) {
        return switch (this) {
            case Q4_0 -> weighted && layer < layers / 8 ? GgufType.Q4_1 : base;
            case Q5_0 -> weighted && layer < layers / 8 ? GgufType.Q5_1 : base;
            case Q2_K -> GgufType.Q3_K;
            case Q3_K_M -> layer < layers / 16 ? GgufType.Q5_K : GgufType.Q4_K;
            case Q3_K_L -> GgufType.Q5_K;
            case Q4_K_S -> layer < layers / 8 ? GgufType.Q5_K : base;
            case Q4_K_M, Q5_K_M -> moreBits(layer, layers) ? GgufType.Q6_K : base;
            default -> base;
        };
    }

    /** The first and the last eighth of the layers, and every third one between. */
    private static boolean moreBits(int layer, int layers) {
        int eighth = layers / 8;
        return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
    }

    /** The type itself, or for rows that are no whole blocks the next one with blocks of 32, and F16 after that. */
    private static GgufType fitting(GgufType type, int columns) {
        if (columns % type.blockElements() == 0) {
            return type;
        }
        if (columns % 32 != 0) {
            return GgufType.F16;
        }
        return switch (type) {
            case Q2_K, Q3_K -> GgufType.Q4_0;
            case Q4_K -> GgufType.Q5_0;
            case Q5_K -> GgufType.Q5_1;
            default -> GgufType.Q8_0;
        };
    }
}
