package nibble.checkpoint.torch;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import nibble.checkpoint.tensor.DType;

/** What a pickle of tensors may hold. */
sealed interface PickleValue {
    record None() implements PickleValue {}

    record Bool(boolean value) implements PickleValue {}

    record Int(long value) implements PickleValue {}

    record Real(double value) implements PickleValue {}

    record Text(String value) implements PickleValue {}

    /** Holds a tuple, which may not change once made, but may hold lists that do: compared by identity only. */
    final class Tuple implements PickleValue {
        final List<PickleValue> items;

        Tuple(List<PickleValue> items) {
            this.items = List.copyOf(items);
        }
    }

    final class ListValue implements PickleValue {
        final List<PickleValue> items = new ArrayList<>();
    }

    /** Holds a dict or OrderedDict; keys that are not texts are kept apart, as only texts name tensors. */
    final class Dict implements PickleValue {
        final Map<String, PickleValue> byText = new LinkedHashMap<>();
        final Map<Long, PickleValue> byInt = new HashMap<>();
    }

    /** Holds one of the names on the list. */
    record Global(Known known) implements PickleValue {}

    /** Holds the bytes of one or more tensors: zip entry {@code data/KEY}. */
    record Storage(DType dtype, String key, long elements) implements PickleValue {}

    /**
     * Holds a tensor over a storage.
     *
     * @param offset of its first element, in elements
     * @param size extents, outermost first
     * @param stride elements from one index to the next on each axis
     */
    record Tensor(Storage storage, long offset, List<Long> size, List<Long> stride) implements PickleValue {}

    /** Lists the names that a pickle may refer to. All are read as data; none is called. */
    enum Known {
        ORDERED_DICT("collections.OrderedDict"),
        REBUILD_TENSOR("torch._utils._rebuild_tensor_v2"),
        REBUILD_PARAMETER("torch._utils._rebuild_parameter"),
        SIZE("torch.Size"),
        DOUBLE("torch.DoubleStorage", DType.F64),
        FLOAT("torch.FloatStorage", DType.F32),
        HALF("torch.HalfStorage", DType.F16),
        BFLOAT16("torch.BFloat16Storage", DType.BF16),
        LONG("torch.LongStorage", DType.I64),
        INT("torch.IntStorage", DType.I32),
        SHORT("torch.ShortStorage", DType.I16),
        CHAR("torch.CharStorage", DType.I8),
        BYTE("torch.ByteStorage", DType.U8),
        BOOL("torch.BoolStorage", DType.BOOL);

        final String name;
        final @org.jspecify.annotations.Nullable DType storage;

        Known(String name) {
            this(name, null);
        }

        Known(String name, @org.jspecify.annotations.Nullable DType storage) {
            this.name = name;
            this.storage = storage;
        }

        static @org.jspecify.annotations.Nullable Known named(String name) {
            for (Known known : values()) {
                if (known.name.equals(name)) {
                    return known;
                }
            }
            return null;
        }
    }
}
