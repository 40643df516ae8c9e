package nibble.engine.cuda;

import java.util.ArrayList;
import java.util.List;
import nibble.engine.backend.ActivationStore;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.PinnedMemory;
import nibble.engine.tensor.Matrix;
import org.jspecify.annotations.Nullable;

/**
 * Batches in pinned memory of the host, of which two at a time are on the card: one in use, the next on its way. Owns
 * both, and the stream of the copies.
 */
final class PinnedActivations implements ActivationStore {
    /** A place on the card. */
    private static final class Place {
        final CudaStream.Event filled = new CudaStream.Event();
        final CudaStream.Event used = new CudaStream.Event();

        @Nullable
        CudaMatrix matrix;

        int index = -1;
    }

    private record Batch(PinnedMemory memory, int rows, int columns) {
        long bytes() {
            return 2L * rows * columns;
        }
    }

    private final CudaResources owner;
    private final CudaStream copies = new CudaStream();
    private final List<Batch> batches = new ArrayList<>();
    private final List<Place> places = List.of(new Place(), new Place());

    PinnedActivations(CudaResources owner) {
        this.owner = owner;
    }

    @Override
    public void add(Matrix batch) {
        CudaMatrix matrix = CudaMatrix.of(owner, batch, false);
        Batch kept =
                new Batch(new PinnedMemory(Math.toIntExact(2 * matrix.elements())), matrix.rows(), matrix.columns());
        kept.memory.fromDevice(matrix.buffer(), 0, kept.bytes(), owner.stream());
        owner.stream().synchronize();
        batches.add(kept);
        batch.close();
    }

    @Override
    public Matrix borrow(int index) {
        Place place = bring(index);
        owner.stream().waitFor(place.filled);
        int next = (index + 1) % batches.size();
        if (next % 2 != index % 2) {
            bring(next);
        }
        CudaMatrix matrix = place.matrix;
        if (matrix == null) {
            throw new IllegalStateException("a batch without its place");
        }
        return matrix;
    }

    private Place bring(int index) {
        Place place = places.get(index % 2);
        if (place.index == index) {
            return place;
        }
        Batch batch = batches.get(index);
        if (place.matrix == null || place.matrix.rows() != batch.rows) {
            if (place.matrix != null) {
                place.matrix.close();
            }
            // The copies' stream must not overtake what used this memory before.
            owner.stream().synchronize();
            copies.synchronize();
            place.matrix = new CudaMatrix(
                    owner,
                    owner.memory().allocate(batch.bytes(), "calibration activations"),
                    batch.rows,
                    batch.columns,
                    false);
        }
        place.index = index;
        copies.waitFor(place.used);
        batch.memory.toDevice(place.matrix.buffer(), 0, batch.bytes(), copies);
        copies.record(place.filled);
        return place;
    }

    @Override
    public void giveBack(int index, boolean changed) {
        Place place = places.get(index % 2);
        owner.stream().record(place.used);
        CudaMatrix matrix = place.matrix;
        if (changed && matrix != null) {
            Batch batch = batches.get(index);
            copies.waitFor(place.used);
            batch.memory.fromDevice(matrix.buffer(), 0, batch.bytes(), copies);
        }
    }

    // Every card reads pinned memory, whichever pinned it.
    @Override
    public void read(int index, int first, int rows, Matrix into, int at) {
        Batch batch = batches.get(index);
        if (!(into instanceof CudaMatrix target) || target.single() || target.columns() != batch.columns) {
            throw new IllegalArgumentException("a matrix of activations of a card is expected");
        }
        java.util.Objects.checkFromIndexSize(first, rows, batch.rows);
        java.util.Objects.checkFromIndexSize(at, rows, target.rows());
        long row = 2L * batch.columns;
        batch.memory.toDevice(row * first, target.buffer(), row * at, row * rows, target.owner().stream());
    }

    @Override
    public void close() {
        owner.synchronize();
        for (Place place : places) {
            if (place.matrix != null) {
                place.matrix.close();
            }
            place.filled.close();
            place.used.close();
        }
        batches.forEach(batch -> batch.memory.close());
        batches.clear();
        copies.close();
    }
}
