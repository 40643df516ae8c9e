package nibble.engine.host.fit;

import nibble.pack.Half;

/**
 * Some rows of a linear on their way from weights to codes. Arrays are row-major; a row of columns takes
 * {@link FitInput#stride} floats, of which those beyond the last column stay 0.
 */
final class RowTile {
    /** Most rows of a tile: what shares a walk through C. */
    static final int ROWS = 16;

    final FitInput input;
    final int rows;
    final int stride;
    /** What the rows are to become. */
    final float[] target;
    /** Codes, whole numbers from 0 on. */
    final float[] codes;
    /** fp16 values [rows, groups]. */
    final float[] scales;
    /** Codes of the value 0 [rows, groups]. */
    final float[] zeros;

    RowTile(FitInput input, int rows) {
        this.input = input;
        this.rows = rows;
        this.stride = input.stride();
        this.target = new float[rows * stride];
        this.codes = new float[rows * stride];
        this.scales = new float[rows * input.groups()];
        this.zeros = new float[rows * input.groups()];
    }

    /** The index of a column's scale and zero. */
    int slot(int row, int column) {
        return row * input.groups() + column / input.group();
    }

    float code(float weight, int slot) {
        return Math.clamp((float) Math.rint(weight / scales[slot]) + zeros[slot], 0f, input.most());
    }

    /** All codes to nearest. */
    void round() {
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < input.columns(); column++) {
                int at = row * stride + column;
                codes[at] = code(target[at], slot(row, column));
            }
        }
    }

    /** {@code ŵ − target}, with ŵ as a loader in fp16 rebuilds it. */
    float[] errors() {
        float[] errors = new float[rows * stride];
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < input.columns(); column++) {
                int at = row * stride + column;
                int slot = slot(row, column);
                errors[at] = Half.round((codes[at] - zeros[slot]) * scales[slot]) - target[at];
            }
        }
        return errors;
    }

    /** {@code E C}. */
    float[] gradient(float[] errors) {
        float[] gradient = new float[rows * stride];
        multiply(errors, stride, 0, input.columns(), 0, stride, gradient, false);
        return gradient;
    }

    /** {@code into (+)= a · C[first … first + count, from … to]}. */
    void multiply(float[] a, int aStride, int first, int count, int from, int to, float[] into, boolean add) {
        PanelMatrix moment = input.moment();
        moment.multiply(rows, a, 0, aStride, first, count, from, to, into, 0, stride, add);
    }

    /** {@code e C eᵀ} of each row. */
    double[] losses() {
        float[] errors = errors();
        return dots(errors, gradient(errors));
    }

    double[] dots(float[] a, float[] b) {
        double[] dots = new double[rows];
        for (int row = 0; row < rows; row++) {
            for (int at = row * stride; at < (row + 1) * stride; at++) {
                dots[row] += (double) a[at] * b[at];
            }
        }
        return dots;
    }
}
