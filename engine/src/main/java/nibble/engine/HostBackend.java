package nibble.engine;

/** What the backends of the host share: matrices on the Java heap, weights used where they lie. */
abstract class HostBackend implements Backend {

    @Override
    public Matrix allocate(int rows, int columns) {
        return HostMatrix.zeros(rows, columns);
    }

    @Override
    public Matrix upload(float[] values, int rows, int columns) {
        return new HostMatrix(values.clone(), rows, columns);
    }

    @Override
    public Matrix allocateSingle(int rows, int columns) {
        return allocate(rows, columns);
    }

    @Override
    public Matrix uploadSingle(float[] values, int rows, int columns) {
        return upload(values, rows, columns);
    }

    @Override
    public PlacedModel place(ModelWeights weights) {
        return PlacedModel.onHost(weights);
    }

    @Override
    public PlacedLayer place(DecoderLayer layer) {
        return PlacedLayer.onHost(layer);
    }

    @Override
    public float[] download(Matrix matrix) {
        return HostMatrix.copy(matrix, 0, matrix.rows());
    }

    @Override
    public float[] download(Matrix matrix, int from, int count) {
        return HostMatrix.copy(matrix, from, count);
    }

    @Override
    public void copyRows(Matrix source, int from, int count, Matrix target, int firstRow) {
        HostMatrix.copyRows(source, from, count, target, firstRow);
    }
}
