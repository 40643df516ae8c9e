package nibble.engine.cuda.quantize;

import static jcuda.driver.JCudaDriver.cuMemsetD32Async;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.fit.FitMoment;
import nibble.engine.quantize.PairedMoments;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * Sums moments on one card, by cuBLAS from fp16 with fp32 sums. Owns its memory.
 *
 * <p>What is lacking is small, but fp16 holds it without a factor: the difference of two fp16 numbers is a multiple of
 * 2⁻²⁴, as all of them are, so it is exact up to 2⁻¹³ and beyond that rounded to 11 bits of itself.
 */
public final class CudaPairedMoments implements PairedMoments {
    private final CudaResources owner;
    private final CudaInputStatistics input;
    private final int columns;
    private final boolean behind;
    /** N of each half. */
    private final List<DeviceMemory.Buffer> lacks = new ArrayList<>();

    private final long[] rows = new long[2];
    private DeviceMemory.@Nullable Buffer moment;
    private @Nullable FitMoment prepared;
    private float @Nullable [] preparedColumns;

    /**
     * Makes moments, all zero.
     *
     * @param residual as of {@link nibble.engine.backend.QuantizationOperations#pairedMoments}
     */
    public CudaPairedMoments(CudaResources owner, QuantizationScratch scratch, int columns, int residual) {
        this.owner = owner;
        this.columns = columns;
        this.behind = residual > 0;
        int lacking = behind ? residual : columns;
        this.input = new CudaInputStatistics(owner, scratch, columns);
        for (int half = 0; half < 2; half++) {
            lacks.add(zeros(owner, lacking, columns));
        }
    }

    /** Allocates memory for N, all zero. */
    public static DeviceMemory.Buffer zeros(CudaResources owner, int rows, int columns) {
        DeviceMemory.Buffer lack = owner.memory()
                .allocate((long) Float.BYTES * rows * columns, "moments of what " + columns + " features lack");
        CudaDevice.check(
                cuMemsetD32Async(lack.pointer(0), 0, lack.bytes() / Float.BYTES, owner.stream().stream()), "zeros");
        return lack;
    }

    /** Returns the device memory that moments of such an input take while tokens are added. */
    public static long bytes(int columns, int residual) {
        long rows = residual > 0 ? residual : columns;
        return CudaInputStatistics.bytes(columns) + 2 * DeviceMemory.rounded(Float.BYTES * rows * columns);
    }

    @Override
    public CudaInputStatistics input() {
        return input;
    }

    @Override
    public void add(Matrix quantized, Matrix lack, int half) {
        input.add(quantized);
        addLack(owner, quantized, lack, lacks.get(half));
        rows[half] += quantized.rows();
    }

    /** Adds to N [rows, columns] on the card that all of these are on. */
    public static void addLack(CudaResources owner, Matrix quantized, Matrix lack, DeviceMemory.Buffer into) {
        CudaMatrix x = CudaMatrix.of(owner, quantized, false);
        CudaMatrix l = CudaMatrix.of(owner, lack, false);
        long bytes = (long) Float.BYTES * l.columns() * x.columns();
        if (l.rows() != x.rows() || bytes > into.bytes()) {
            throw new IllegalArgumentException("[" + l.rows() + ", " + l.columns() + "] given for what is lacking of ["
                    + x.rows() + ", " + x.columns() + "], " + bytes + " bytes, into " + into.bytes());
        }
        owner.cublas().crossMoment(l.columns(), x.columns(), x.rows(), l.address(), x.address(), into.address(), true);
    }

    @Override
    public void endPart() {
        input.endPart();
    }

    /**
     * All in a basis; made once for all linears of an input. Owned by this.
     *
     * @param basis factors of the columns, or null for ones
     */
    InputLacks in(float @Nullable [] basis) {
        if (prepared == null) {
            moment = input.takeMoment();
            prepared =
                    new FitMoment(owner, moment, input.correlations().matrix().address(), columns, input.rows(), basis);
            preparedColumns = basis;
        }
        if (!Arrays.equals(preparedColumns, basis)) {
            throw new IllegalArgumentException("linears of one input are fitted in one basis");
        }
        return new InputLacks(
                prepared, behind, lacks.get(0).address(), lacks.get(1).address(), rows);
    }

    @Override
    public void close() {
        input.close();
        lacks.forEach(DeviceMemory.Buffer::close);
        if (prepared != null) {
            prepared.close();
        }
        if (moment != null) {
            moment.close();
        }
    }
}
