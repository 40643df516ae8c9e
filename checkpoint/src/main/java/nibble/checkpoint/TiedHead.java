package nibble.checkpoint;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.SequencedMap;
import java.util.function.Consumer;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.TensorNames;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.tensor.DType;
import nibble.checkpoint.tensor.StoredTensor;

/**
 * A checkpoint whose config ties the embedding to the output projection and which holds both, or the wrong one of the
 * two: read as transformers 5 reads it.
 */
final class TiedHead {
    /** Bytes compared at a time where tensors are made anew at each reading. */
    private static final long PART_BYTES = 16 << 20;

    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private TiedHead() {}

    /**
     * The config that the tensors mean. Where they hold only the output projection it becomes the embedding too.
     *
     * @param tensors by name; may get another
     * @param notes told what differs from what config.json says
     */
    static ModelConfig config(
            Path folder, ModelConfig config, SequencedMap<String, StoredTensor> tensors, Consumer<Finding> notes) {
        StoredTensor head = tensors.get(TensorNames.HEAD);
        if (!config.tiedEmbeddings() || head == null) {
            return config;
        }
        StoredTensor embedding = tensors.get(TensorNames.EMBEDDING);
        if (embedding == null) {
            tensors.put(TensorNames.EMBEDDING, head.named(TensorNames.EMBEDDING));
            return config;
        }
        if (same(embedding, head)) {
            return config;
        }
        notes.accept(Finding.warning(
                "head",
                folder + ": tie_word_embeddings is true, but " + TensorNames.HEAD + " differs from "
                        + TensorNames.EMBEDDING
                        + "; both are used, as in transformers 5, and the output says false. Loaders that tie"
                        + " them compute something else: set it to false in config.json"));
        return config.untied();
    }

    private static boolean same(StoredTensor embedding, StoredTensor head) {
        if (!embedding.spec().shape().equals(head.spec().shape())) {
            return false;
        }
        DType one = embedding.spec().dtype();
        DType other = head.spec().dtype();
        if (!one.isWeight() || !other.isWeight()) {
            return false;
        }
        long rows = Math.max(1, PART_BYTES / Math.max(1, Math.max(embedding.rowBytes(), head.rowBytes())));
        for (long first = 0; first < embedding.rowCount(); first += rows) {
            long count = Math.min(rows, embedding.rowCount() - first);
            if (!same(embedding.rows().read(first, count), one, head.rows().read(first, count), other)) {
                return false;
            }
        }
        return true;
    }

    /** Equal as numbers, whatever their types: 0 is -0, and NaN is not itself. */
    private static boolean same(MemorySegment a, DType aType, MemorySegment b, DType bType) {
        if (aType == bType && a.mismatch(b) == -1) {
            return true;
        }
        for (long i = 0; i < a.byteSize() / aType.bytes(); i++) {
            if (number(a, aType, i) != number(b, bType, i)) {
                return false;
            }
        }
        return true;
    }

    private static float number(MemorySegment data, DType type, long index) {
        return switch (type) {
            case F16 -> Float.float16ToFloat(data.get(SHORT, 2 * index));
            case BF16 -> Float.intBitsToFloat(data.get(SHORT, 2 * index) << 16);
            default -> data.get(FLOAT, 4 * index);
        };
    }
}
