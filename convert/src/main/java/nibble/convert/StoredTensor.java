package nibble.convert;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.function.Supplier;

/**
 * A tensor as its file stores it, known in full before its data is read.
 *
 * @param spec name, element type and shape of what {@code data} gives
 * @param file where it lies; the first one where several files hold a part of it
 * @param storage the file's own name for the element type, as {@code BF16} or {@code Q4_K}
 * @param storedBytes bytes that it takes in its files
 * @param data the elements, little-endian and row-major: a view of the mapped file where the file holds them so, else made
 *     anew at each call, in memory that is freed once no one refers to it
 */
public record StoredTensor(
        TensorSpec spec, Path file, String storage, long storedBytes, Supplier<MemorySegment> data) {

    /** A tensor that lies in a mapped file just as it is used. */
    public static StoredTensor inPlace(TensorView view, Path file) {
        return new StoredTensor(view.spec(), file, view.dtype().name(), view.data().byteSize(), view::data);
    }

    public String name() {
        return spec.name();
    }

    /** The tensor with its data. */
    public TensorView view() {
        return new TensorView(spec.name(), spec.dtype(), spec.shape(), data.get());
    }

    /** The same data under another name. */
    public StoredTensor named(String name) {
        return new StoredTensor(new TensorSpec(name, spec.dtype(), spec.shape()), file, storage, storedBytes, data);
    }
}
