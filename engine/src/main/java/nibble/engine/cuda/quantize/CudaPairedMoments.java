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
 * Moments on one card, by cuBLAS from fp16 with fp32 sums. Owns its memory.
 *
 * <p>What is lacking is small, but fp16 holds it without a factor: the difference of two fp16 numbers is a multiple of
 * 2⁻²⁴, as all of them are, so it is exact up to 2⁻¹³ and beyond that rounded to 11 bits of itself.
 */
public final class CudaPairedMoments implements PairedMoments {
    private final CudaResources owner;
    private final CudaInputStatistics input;
    private final int columns;
    /** Rows of N. */
    private final int lacking;

    private final boolean behind;
    /** N of each half. */
    private final List<DeviceMemory.Buffer> lacks = new ArrayList<>();

    private final long[] rows = new long[2];
    private DeviceMemory.@Nullable Buffer moment;
    private @Nullable FitMoment prepared;
    private float @Nullable [] preparedColumns;

    /** @param residual as of {@link nibble.engine.backend.QuantizationOperations#pairedMoments} */
    public CudaPairedMoments(CudaResources owner, QuantizationScratch scratch, int columns, int residual) {
        this.owner = owner;
        this.columns = columns;
        this.behind = residual > 0;
        this.lacking = behind ? residual : columns;
        this.input = new CudaInputStatistics(owner, scratch, columns);
        for (int half = 0; half < 2; half++) {
            DeviceMemory.Buffer lack = owner.memory()
                    .allocate((long) Float.BYTES * lacking * columns, "moments of what " + columns + " features lack");
            CudaDevice.check(
                    cuMemsetD32Async(lack.pointer(0), 0, lack.bytes() / Float.BYTES, owner.stream().stream()), "zeros");
            lacks.add(lack);
        }
    }

    /** Device memory that moments of such an input take while tokens are added. */
    public static long bytes(int columns, int residual) {
        long rows = residual > 0 ? residual : columns;
        return DeviceMemory.rounded((long) Float.BYTES * columns * columns)
                + 2 * DeviceMemory.rounded(Float.BYTES * rows * columns);
    }

    @Override
    public CudaInputStatistics input() {
        return input;
    }

    @Override
    public void add(Matrix quantized, Matrix lack, int half) {
        CudaMatrix x = CudaMatrix.of(owner, quantized, false);
        CudaMatrix l = CudaMatrix.of(owner, lack, false);
        if (l.columns() != lacking || l.rows() != x.rows()) {
            throw new IllegalArgumentException("[" + l.rows() + ", " + l.columns() + "] given for what is lacking, ["
                    + x.rows() + ", " + lacking + "] expected");
        }
        input.add(quantized);
        owner.cublas()
                .crossMoment(
                        lacking,
                        columns,
                        x.rows(),
                        l.address(),
                        x.address(),
                        lacks.get(half).address(),
                        true);
        rows[half] += x.rows();
    }

    /** Whether N is of what outputs lack, not inputs. */
    boolean behind() {
        return behind;
    }

    /** Address of a row of a half's N. */
    long lack(int half, int row) {
        return lacks.get(half).address() + (long) Float.BYTES * row * columns;
    }

    /** Tokens of either half. */
    long[] rows() {
        return rows;
    }

    /**
     * C in a basis, with its factor; made once for all linears of an input. Owned by this.
     *
     * @param basis factors of the columns, or null for ones
     */
    FitMoment in(float @Nullable [] basis) {
        if (prepared == null) {
            moment = input.takeMoment();
            prepared =
                    new FitMoment(owner, moment, input.correlations().matrix().address(), columns, input.rows(), basis);
            preparedColumns = basis;
        }
        if (!Arrays.equals(preparedColumns, basis)) {
            throw new IllegalArgumentException("linears of one input are fitted in one basis");
        }
        return prepared;
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
