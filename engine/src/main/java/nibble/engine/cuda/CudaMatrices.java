package nibble.engine.cuda;

import static jcuda.driver.JCudaDriver.cuMemcpyDtoDAsync;
import static jcuda.driver.JCudaDriver.cuMemsetD32Async;

import java.lang.foreign.MemorySegment;
import java.util.function.IntConsumer;
import nibble.engine.backend.Extents;
import nibble.engine.backend.Workers;
import nibble.engine.cuda.data.CudaCodeMatrix;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.tensor.Matrix;

/** Makes matrices on a card, fills them and reads them back; fp16 is converted on threads of the host. */
final class CudaMatrices {
    /** Elements that a thread of the host converts at a time. */
    private static final int SLICE = 1 << 16;

    private final CudaResources card;
    private final Workers workers;

    CudaMatrices(CudaResources card, Workers workers) {
        this.card = card;
        this.workers = workers;
    }

    CudaMatrix allocate(int rows, int columns, boolean single) {
        long bytes = Math.multiplyExact((long) rows * columns, single ? Float.BYTES : Short.BYTES);
        return new CudaMatrix(
                card, card.memory().allocate(bytes, "a matrix [" + rows + ", " + columns + "]"), rows, columns, single);
    }

    CudaMatrix zeros(int rows, int columns, boolean single) {
        CudaMatrix matrix = allocate(rows, columns, single);
        CudaDevice.check(
                cuMemsetD32Async(matrix.buffer().pointer(0), 0, matrix.buffer().bytes() / 4, card.stream().stream()),
                "zeros");
        return matrix;
    }

    CudaCodeMatrix codes(int rows, int columns, int head) {
        long bytes = CudaCodeMatrix.bytes(rows, columns, head);
        DeviceMemory.Buffer buffer = card.memory().allocate(bytes, "8-bit keys [" + rows + ", " + columns + "]");
        CudaDevice.check(cuMemsetD32Async(buffer.pointer(0), 0, bytes / 4, card.stream().stream()), "zeros");
        return new CudaCodeMatrix(card, buffer, rows, columns, head);
    }

    Matrix filled(float[] values, int rows, int columns, boolean single) {
        if (values.length != (long) rows * columns) {
            throw new IllegalArgumentException(
                    values.length + " values given for a matrix of " + rows + " x " + columns);
        }
        CudaMatrix matrix = allocate(rows, columns, single);
        if (single) {
            card.transfers().bring(MemorySegment.ofArray(values), matrix.buffer());
        } else {
            short[] halves = new short[values.length];
            forEachSlice(halves.length, i -> halves[i] = Float.floatToFloat16(values[i]));
            card.transfers().bring(MemorySegment.ofArray(halves), matrix.buffer());
        }
        return matrix;
    }

    private void forEachSlice(int elements, IntConsumer conversion) {
        workers.forEach((elements + SLICE - 1) / SLICE, slice -> {
            int end = Math.min(elements, (slice + 1) * SLICE);
            for (int i = slice * SLICE; i < end; i++) {
                conversion.accept(i);
            }
        });
    }

    float[] download(Matrix matrix, int from, int count) {
        if (matrix instanceof CudaCodeMatrix codes && codes.owner() == card) {
            return values(codes, from, count);
        }
        CudaMatrix source = CudaMatrix.of(card, matrix);
        if (from < 0 || count < 0 || from + count > source.rows()) {
            throw new IllegalArgumentException("rows " + from + " to " + (from + count) + " asked of " + source.rows());
        }
        float[] values = new float[Math.multiplyExact(count, source.columns())];
        if (source.single()) {
            card.transfers().fetch(source.buffer(), source.byteOffset(from), MemorySegment.ofArray(values));
            return values;
        }
        short[] halves = new short[values.length];
        card.transfers().fetch(source.buffer(), source.byteOffset(from), MemorySegment.ofArray(halves));
        forEachSlice(values.length, i -> values[i] = Float.float16ToFloat(halves[i]));
        return values;
    }

    private float[] values(CudaCodeMatrix source, int from, int count) {
        int columns = source.columns();
        byte[] codes = new byte[Math.multiplyExact(count, columns)];
        float[] scales = new float[(int) ((source.buffer().bytes() - source.scaleOffset()) / Float.BYTES)];
        card.transfers().fetch(source.buffer(), (long) from * columns, MemorySegment.ofArray(codes));
        card.transfers().fetch(source.buffer(), source.scaleOffset(), MemorySegment.ofArray(scales));
        float[] values = new float[codes.length];
        for (int i = 0; i < values.length; i++) {
            int code = (codes[i] & 0xff) - CudaCodeMatrix.ZERO;
            values[i] = code * scales[source.scaleIndex(from + i / columns, i % columns / source.head())];
        }
        return values;
    }

    void copyRows(Matrix source, int from, int count, Matrix target, int firstRow) {
        CudaMatrix a = CudaMatrix.of(card, source);
        CudaMatrix b = CudaMatrix.of(card, target, a.single());
        Extents.require("copyRows", "source", source, source.rows(), target.columns());
        if (from < 0 || count < 0 || from + count > source.rows() || firstRow < 0 || firstRow + count > target.rows()) {
            throw new IllegalArgumentException("copyRows: rows " + from + " to " + (from + count) + " of "
                    + source.rows() + " into rows " + firstRow + " to " + (firstRow + count) + " of " + target.rows());
        }
        CudaDevice.check(
                cuMemcpyDtoDAsync(
                        b.buffer().pointer(b.byteOffset(firstRow)),
                        a.buffer().pointer(a.byteOffset(from)),
                        (long) count * a.columns() * a.elementBytes(),
                        card.stream().stream()),
                "copying rows");
    }
}
