package nibble.checkpoint.tensor;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Describes a tensor as its file stores it, known in full before its data is read.
 *
 * @param spec name, element type and shape of what {@code data} gives
 * @param file where it lies; the first one where several files hold a part of it
 * @param storage the file's own name for the element type, as {@code BF16} or {@code Q4_K}
 * @param storedBytes bytes that it takes in its files
 * @param data the elements, little-endian and row-major: a view of the mapped file where the file holds them so, else
 *     made anew at each call, in memory that is freed once no one refers to it
 * @param rows the same by rows, without making more of it than asked
 */
public record StoredTensor(
        TensorSpec spec, Path file, String storage, long storedBytes, Supplier<MemorySegment> data, RowReader rows) {

    /** Gives some rows of a tensor without the others: rows of a matrix, or all of a vector as its one row. */
    public interface RowReader {
        /**
         * Reads rows {@code first} to {@code first + count}, as the elements of {@code data}; made on the heap where
         * not in place.
         */
        MemorySegment read(long first, long count);
    }

    /** Describes a tensor whose whole data cost nothing to give. */
    public StoredTensor(TensorSpec spec, Path file, String storage, long storedBytes, Supplier<MemorySegment> data) {
        this(spec, file, storage, storedBytes, data, (first, count) -> {
            long rowBytes = rowBytes(spec);
            return data.get().asSlice(first * rowBytes, count * rowBytes);
        });
    }

    /** Counts the rows of a matrix; a vector is one row. */
    public long rowCount() {
        return rowCount(spec);
    }

    private static long rowCount(TensorSpec spec) {
        return spec.shape().rank() < 2 ? 1 : spec.shape().dim(0);
    }

    /** Returns the bytes of a row of {@code data}. */
    public long rowBytes() {
        return rowBytes(spec);
    }

    private static long rowBytes(TensorSpec spec) {
        return rowCount(spec) == 0 ? 0 : spec.bytes() / rowCount(spec);
    }

    /** Shows all of {@code data}, in order, at most {@code bytes} or one row at a time. */
    public void forEachPart(long bytes, Consumer<MemorySegment> reader) {
        long rows = Math.max(1, bytes / Math.max(1, rowBytes()));
        for (long first = 0; first < rowCount(); first += rows) {
            reader.accept(this.rows.read(first, Math.min(rows, rowCount() - first)));
        }
    }

    /** Returns a tensor that lies in a mapped file just as it is used. */
    public static StoredTensor inPlace(TensorView view, Path file) {
        return new StoredTensor(
                view.spec(), file, view.dtype().name(), view.data().byteSize(), view::data);
    }

    public String name() {
        return spec.name();
    }

    /** Returns the tensor with its data. */
    public TensorView view() {
        return new TensorView(spec.name(), spec.dtype(), spec.shape(), data.get());
    }

    /** Returns the same data under another name. */
    public StoredTensor named(String name) {
        return new StoredTensor(
                new TensorSpec(name, spec.dtype(), spec.shape()), file, storage, storedBytes, data, rows);
    }

    /**
     * Returns a run of this tensor's elements as a tensor of its own.
     *
     * @param part its name and shape
     * @param first the element of this tensor that it begins with
     */
    public StoredTensor part(TensorSpec part, long first) {
        long from = first * spec.dtype().bytes();
        return new StoredTensor(
                part, file, storage, part.bytes(), () -> data.get().asSlice(from, part.bytes()));
    }
}
