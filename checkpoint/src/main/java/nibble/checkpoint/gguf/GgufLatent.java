package nibble.checkpoint.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.WeakReference;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.checkpoint.tensor.TensorSpec;
import org.jspecify.annotations.Nullable;

/**
 * Reads what a GGUF file says of keys and values that come from a narrow vector. llama.cpp splits {@code kv_b_proj}:
 * into what keys of each head are made by, turned over, and what values are made by. Older files have it whole.
 */
public final class GgufLatent {
    /** What keys are made by, [heads, rank, plain], inside {@code blk.N.}. */
    public static final String KEYS = "attn_k_b.weight";

    /** What values are made by, [heads, value, rank]. */
    public static final String VALUES = "attn_v_b.weight";

    /** What {@code expert_gating_func} is for sigmoids. */
    public static final int SIGMOID = 2;

    private static final int MOST = 1 << 16;

    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Path path;
    private final int heads;
    private final LatentAttention extents;
    private final Map<Integer, GgufFile.Tensor> keys = new HashMap<>();
    private final Map<Integer, GgufFile.Tensor> values = new HashMap<>();

    /**
     * Reads the extents.
     *
     * @param name of the architecture, with which keys begin
     * @throws BadCheckpointException if they are not those of any model
     */
    GgufLatent(GgufMetadata metadata, String name) {
        this.path = metadata.file();
        this.heads = width(metadata, name, "attention.head_count");
        int queryRank = metadata.integer(name + ".attention.q_lora_rank").isPresent()
                ? width(metadata, name, "attention.q_lora_rank")
                : 0;
        boolean split = metadata.integer(name + ".attention.key_length_mla").isPresent();
        String behind = split ? "_mla" : "";
        int key = width(metadata, name, "attention.key_length" + behind);
        int turned = width(metadata, name, "rope.dimension_count");
        if (turned >= key || turned % 2 != 0 || key % 2 != 0) {
            throw new BadCheckpointException(
                    path,
                    "heads of " + key + " keys, " + turned + " of them turned; supported: even numbers, of which some"
                            + " turn and some do not");
        }
        this.extents = new LatentAttention(
                queryRank,
                width(metadata, name, "attention.kv_lora_rank"),
                key - turned,
                turned,
                width(metadata, name, "attention.value_length" + behind));
    }

    private static int width(GgufMetadata metadata, String name, String key) {
        long width = metadata.requiredUniform(name + "." + key);
        if (width < 1 || width > MOST) {
            throw new BadCheckpointException(
                    metadata.file(),
                    "metadata key " + name + "." + key + " is " + width + ", expected 1 to " + MOST
                            + "; get the file again");
        }
        return (int) width;
    }

    int headDim() {
        return extents.headDim();
    }

    /** Puts the extents into a config.json. */
    void describe(ObjectNode json, GgufMetadata metadata, String name) {
        if (extents.queryRank() == 0) {
            json.putNull("q_lora_rank");
        } else {
            json.put("q_lora_rank", extents.queryRank());
        }
        json.put("kv_lora_rank", extents.rank())
                .put("qk_nope_head_dim", extents.plain())
                .put("qk_rope_head_dim", extents.turned())
                .put("v_head_dim", extents.value())
                .put("num_key_value_heads", heads);
        json.remove("head_dim");
        json.put(
                "first_k_dense_replace",
                metadata.integer(name + ".leading_dense_block_count").orElse(0L));
        json.put(
                "n_shared_experts",
                metadata.integer(name + ".expert_shared_count").orElse(0L));
        json.put("n_routed_experts", metadata.requiredInteger(name + ".expert_count"));
        json.remove("num_experts");
        metadata.number(name + ".expert_weights_scale")
                .filter(scale -> scale != 0)
                .ifPresent(scale -> json.put("routed_scaling_factor", GgufConfig.single(scale)));
        json.put("norm_topk_prob", metadata.flag(name + ".expert_weights_norm").orElse(false));
        if (isCorrected(metadata, name)) {
            json.put("n_group", metadata.integer(name + ".expert_group_count").orElse(1L))
                    .put(
                            "topk_group",
                            metadata.integer(name + ".expert_group_used_count").orElse(1L));
            return;
        }
        // llama.cpp chooses groups by the sum of their two best experts, and DeepSeek-V2 by the best.
        refuseAbove(metadata, name + ".expert_group_count");
        refuseAbove(metadata, name + ".expert_gating_func");
    }

    /** Returns whether a file says that experts are chosen by sigmoids with a bias. */
    static boolean isCorrected(GgufMetadata metadata, String name) {
        return metadata.integer(name + ".expert_gating_func").orElse(0L) == SIGMOID;
    }

    /** Softmax is llama.cpp's 1, and 0 says nothing. */
    private static void refuseAbove(GgufMetadata metadata, String key) {
        metadata.integer(key).filter(value -> value > 1).ifPresent(value -> {
            throw new BadCheckpointException(
                    metadata.file(), "metadata key " + key + " is " + value + ", which is not supported; supported: 1");
        });
    }

    /** Takes a tensor that is a part of {@code kv_b_proj}; returns whether it is one. */
    boolean takes(int layer, String within, GgufFile.Tensor tensor) {
        boolean isKeys = within.equals(KEYS);
        if (!isKeys && !within.equals(VALUES)) {
            return false;
        }
        Shape expected = isKeys
                ? Shape.of(heads, extents.rank(), extents.plain())
                : Shape.of(heads, extents.value(), extents.rank());
        if (!tensor.shape().equals(expected) || !tensor.type().isRead()) {
            throw new BadCheckpointException(
                    path,
                    "tensor " + tensor.name() + " is " + tensor.type() + " " + tensor.shape() + "; expected " + expected
                            + " of a type that is read: " + GgufType.allRead());
        }
        (isKeys ? keys : values).put(layer, tensor);
        return true;
    }

    /** Gives {@code kv_b_proj} of each layer that has both parts, by its path inside the layer. */
    void whole(BiConsumer<Integer, StoredTensor> taker) {
        keys.forEach((layer, key) -> {
            GgufFile.Tensor value = values.get(layer);
            if (value != null) {
                taker.accept(layer, whole(key, value, Linear.KV_B.module(layer) + ".weight"));
            }
        });
    }

    private StoredTensor whole(GgufFile.Tensor key, GgufFile.Tensor value, String name) {
        DType type = key.type() == value.type() ? key.type().decoded() : DType.F32;
        long each = extents.plain() + extents.value();
        TensorSpec spec = new TensorSpec(name, type, Shape.of(heads * each, extents.rank()));
        Whole whole = new Whole(key, value, spec);
        long rowBytes = (long) type.bytes() * extents.rank();
        return new StoredTensor(
                spec,
                path,
                key.type().name(),
                key.data().byteSize() + value.data().byteSize(),
                whole::data,
                (first, count) -> whole.data().asSlice(first * rowBytes, count * rowBytes));
    }

    private static float number(GgufFile.Tensor plain, long i) {
        return switch (plain.type()) {
            case F32 -> plain.data().get(FLOAT, 4 * i);
            case F16 -> Float.float16ToFloat(plain.data().get(SHORT, 2 * i));
            case BF16 -> Float.intBitsToFloat(plain.data().get(SHORT, 2 * i) << 16);
            default -> throw new IllegalArgumentException(plain.type() + " is no type of plain numbers");
        };
    }

    /** The two parts put together, kept as long as someone refers to the numbers. */
    private final class Whole {
        private final GgufFile.Tensor key;
        private final GgufFile.Tensor value;
        private final TensorSpec spec;
        private WeakReference<@Nullable MemorySegment> made = new WeakReference<>(null);

        Whole(GgufFile.Tensor key, GgufFile.Tensor value, TensorSpec spec) {
            this.key = key;
            this.value = value;
            this.spec = spec;
        }

        synchronized MemorySegment data() {
            return Optional.ofNullable(made.get()).orElseGet(() -> {
                MemorySegment now = make();
                made = new WeakReference<>(now);
                return now;
            });
        }

        private MemorySegment make() {
            int bytes = spec.dtype().bytes();
            MemorySegment turned = numbers(key);
            MemorySegment straight = numbers(value);
            MemorySegment whole = Arena.ofAuto().allocate(spec.bytes(), 64);
            long rank = extents.rank();
            long rowBytes = rank * bytes;
            long at = 0;
            for (int head = 0; head < heads; head++) {
                for (int row = 0; row < extents.plain(); row++) {
                    for (long column = 0; column < rank; column++) {
                        long from = ((head * rank + column) * extents.plain() + row) * bytes;
                        MemorySegment.copy(turned, from, whole, at, bytes);
                        at += bytes;
                    }
                }
                long values = extents.value() * rowBytes;
                MemorySegment.copy(straight, head * values, whole, at, values);
                at += values;
            }
            return whole;
        }

        /** The elements in the type of the whole. */
        private MemorySegment numbers(GgufFile.Tensor part) {
            if (part.type().decoded() == spec.dtype() && part.type().isPlain()) {
                return part.data();
            }
            MemorySegment values = Arena.ofAuto().allocate(4 * part.shape().elements(), 64);
            if (part.type().isPlain()) {
                for (long i = 0; i < part.shape().elements(); i++) {
                    values.set(FLOAT, 4 * i, number(part, i));
                }
            } else {
                BlockDecoder.decode(part.type(), part.data(), values);
            }
            return values;
        }
    }
}
