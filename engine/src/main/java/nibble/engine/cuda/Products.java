package nibble.engine.cuda;

import java.util.ArrayList;
import java.util.List;
import nibble.engine.cuda.data.CudaMatrix;
import nibble.engine.cuda.data.CudaWeight;
import nibble.engine.cuda.data.TiledMatrix;
import nibble.engine.cuda.driver.Cublas;
import nibble.engine.cuda.driver.CudaDevice;
import nibble.engine.cuda.driver.CudaResources;
import nibble.engine.cuda.driver.CudaStream;
import nibble.engine.cuda.driver.DeviceMemory;
import nibble.engine.cuda.driver.Kernel;
import nibble.engine.cuda.driver.KernelCache;
import nibble.engine.tensor.Matrix;

/**
 * Products of activations with weights: cuBLAS on fp16 weights. Quantized weights are read as they are for one row
 * ({@link OneRow}) and for some ({@link BatchRows}). For more they are expanded into fp16 a piece at a time, on a
 * stream of its own, so that the next piece expands while cuBLAS multiplies by this one. Owns the pieces' memory.
 */
final class Products implements AutoCloseable {
    /** Most bytes of a piece, unless 256 rows are more. */
    private static final long PIECE_BYTES = 256L << 20;

    private static final int PIECES = 2;
    private static final int THREADS = 256;
    private static final int WARPS = THREADS / 32;
    private static final int TILE_ROWS = TiledMatrix.TILE_ROWS;
    /** Pieces are cut at multiples of this many tiles, which suit the tiles of cuBLAS. */
    private static final int TILES_STEP = 16;

    private static final class Piece {
        DeviceMemory.@org.jspecify.annotations.Nullable Buffer buffer;
        final CudaStream.Event expanded = new CudaStream.Event();
        final CudaStream.Event used = new CudaStream.Event();
    }

    private final DeviceMemory memory;
    private final KernelCache kernels;
    private final Cublas cublas;
    private final CudaStream compute;
    private final OneRow oneRow;
    private final BatchRows batchRows;
    private final CudaStream expansion = new CudaStream();
    private final Piece[] pieces = {new Piece(), new Piece()};
    private final CudaStream.Event placed = new CudaStream.Event();
    /** Pieces' memory that graphs write to, in use by a piece or no more. */
    private final List<DeviceMemory.Buffer> inGraphs = new ArrayList<>();

    private int graphOwners;
    private boolean recording;
    private int next;

    Products(CudaDevice device, DeviceMemory memory, KernelCache kernels, Cublas cublas, CudaStream compute) {
        this.memory = memory;
        this.kernels = kernels;
        this.cublas = cublas;
        this.compute = compute;
        this.oneRow = new OneRow(kernels, device);
        this.batchRows = new BatchRows(device, memory, kernels, compute);
    }

    /** Returns the code that products of up to so many rows with a quantized matrix run. */
    List<KernelCache.Code> codes(TiledMatrix matrix, int rows) {
        List<KernelCache.Code> codes = new ArrayList<>(batchRows.codes(matrix, rows));
        codes.add(OneRow.code(matrix));
        return codes;
    }

    void multiply(CudaMatrix x, CudaWeight.Dense weight, CudaMatrix out, boolean accumulate) {
        product(x, weight.address(), weight.outFeatures(), out, 0, accumulate);
    }

    /** {@code out[:, column ..] (+)= x wᵀ} with fp16 w [rows, x.columns()] at an address. */
    private void product(CudaMatrix x, long w, int rows, CudaMatrix out, int column, boolean accumulate) {
        cublas.multiplyTransposed(
                x.rows(),
                rows,
                x.columns(),
                x.address(),
                Cublas.Type.F16,
                x.columns(),
                w,
                x.columns(),
                out.address() + (long) column * out.elementBytes(),
                out.single() ? Cublas.Type.F32 : Cublas.Type.F16,
                out.columns(),
                accumulate);
    }

    /**
     * Products with parts of one quantized matrix.
     *
     * @param parts of the same matrix, in the order of their offsets
     */
    void multiply(
            CudaMatrix x,
            List<CudaWeight.Tiled> parts,
            List<? extends Matrix> outs,
            CudaResources owner,
            boolean accumulate) {
        TiledMatrix matrix = parts.getFirst().matrix();
        List<CudaMatrix> tos =
                outs.stream().map(out -> CudaMatrix.of(owner, out)).toList();
        if (x.rows() == 1
                && parts.getFirst().whole()
                && !accumulate
                && (!tos.getFirst().single() || OneRow.single(matrix))) {
            oneRow.multiply(
                    compute,
                    x.address(),
                    matrix,
                    tos.getFirst().address(),
                    tos.getFirst().single());
            return;
        }
        if (batchRows.isFaster(matrix, x.rows()) && batchRows.takes(parts, tos)) {
            batchRows.multiply(x, parts, tos, accumulate);
            return;
        }
        if (!recording) {
            // A layer that has just arrived on another stream: the expansion must see it too.
            compute.record(placed);
            expansion.waitFor(placed);
        }
        int perPiece = tilesPerPiece(matrix);
        for (int first = 0; first < matrix.tiles(); first += perPiece) {
            int tiles = Math.min(perPiece, matrix.tiles() - first);
            Piece piece = expand(matrix, first, tiles, parts.getFirst().spread() == TILE_ROWS);
            if (!recording) {
                compute.waitFor(piece.expanded);
            }
            for (int i = 0; i < parts.size(); i++) {
                part(x, parts.get(i), CudaMatrix.of(owner, outs.get(i)), piece, first, tiles, accumulate);
            }
            if (!recording) {
                compute.record(piece.used);
            }
        }
    }

    /** Returns the rows that the input of a product is arranged for where it may be ({@code arranged.cuh}), else 0. */
    int arrangement(CudaWeight weight, int rows) {
        return weight instanceof CudaWeight.Tiled tiled ? batchRows.arrangement(tiled.matrix(), rows) : 0;
    }

    /** {@code out (+)= x wᵀ} with rows that are arranged as {@link #arrangement} says. */
    void multiplyArranged(CudaMatrix x, CudaWeight.Tiled weight, CudaMatrix out, boolean accumulate) {
        batchRows.multiplyArranged(x, List.of(weight), List.of(out), accumulate);
    }

    /**
     * Says whether work is recorded into a graph now. A graph knows no events from before it, so pieces expand in the
     * stream that computes; and their memory stays when they need more later.
     */
    void recording(boolean now) {
        recording = now;
    }

    /** Keeps pieces' memory that is recorded into graphs, until {@link #release} was called as often as this. */
    void hold() {
        graphOwners++;
    }

    /** Frees the memory that only graphs wrote to, once no owner of graphs is left; what they launched must be done. */
    void release() {
        graphOwners--;
        if (graphOwners == 0) {
            for (Piece piece : pieces) {
                inGraphs.removeIf(buffer -> buffer == piece.buffer);
            }
            inGraphs.forEach(DeviceMemory.Buffer::close);
            inGraphs.clear();
        }
    }

    /** The rows of a part that lie in the piece of these tiles. */
    private void part(
            CudaMatrix x,
            CudaWeight.Tiled part,
            CudaMatrix out,
            Piece piece,
            int firstTile,
            int tiles,
            boolean accumulate) {
        DeviceMemory.Buffer buffer = piece.buffer;
        if (buffer == null) {
            throw new IllegalStateException("a piece without memory");
        }
        long rowBytes = 2L * x.columns();
        if (part.spread() == TILE_ROWS) {
            // Apart again: first the eight rows of gate of each tile, then those of up.
            int column = firstTile * 8;
            int rows = Math.min(tiles * 8, part.outFeatures() - column);
            long from = part.offset() == 0 ? 0 : tiles * 8L;
            product(x, buffer.address() + from * rowBytes, rows, out, column, accumulate);
            return;
        }
        int pieceFirst = firstTile * TILE_ROWS;
        int from = Math.max(part.offset(), pieceFirst);
        int to = Math.min(part.offset() + part.outFeatures(), pieceFirst + tiles * TILE_ROWS);
        if (from < to) {
            product(
                    x,
                    buffer.address() + (from - pieceFirst) * rowBytes,
                    to - from,
                    out,
                    from - part.offset(),
                    accumulate);
        }
    }

    private Piece expand(TiledMatrix matrix, int first, int tiles, boolean interleaved) {
        Piece piece = pieces[next];
        next = (next + 1) % PIECES;
        long bytes = 2L * tiles * TILE_ROWS * matrix.inFeatures();
        DeviceMemory.Buffer buffer = piece.buffer;
        if (buffer == null || buffer.bytes() < bytes) {
            if (buffer != null && inGraphs.contains(buffer)) {
                piece.buffer = null;
            } else if (buffer != null) {
                piece.used.synchronize();
                buffer.close();
            }
            buffer = memory.allocate(bytes, "expanded weights");
            piece.buffer = buffer;
        }
        CudaStream stream = recording ? compute : expansion;
        if (recording) {
            if (!inGraphs.contains(buffer)) {
                inGraphs.add(buffer);
            }
        } else {
            expansion.waitFor(piece.used);
        }
        int rows = interleaved ? tiles * TILE_ROWS : Math.min(tiles * TILE_ROWS, matrix.rows() - first * TILE_ROWS);
        expand(stream, matrix, buffer, first, tiles, interleaved, rows);
        if (!recording) {
            expansion.record(piece.expanded);
        }
        return piece;
    }

    /** Expands a whole matrix into [rows, inFeatures] fp16, in the order of the stream that computes. */
    void expand(TiledMatrix matrix, DeviceMemory.Buffer to) {
        expand(compute, matrix, to, 0, matrix.tiles(), false, matrix.rows());
    }

    private void expand(
            CudaStream stream,
            TiledMatrix matrix,
            DeviceMemory.Buffer to,
            int first,
            int tiles,
            boolean interleaved,
            int rows) {
        kernels.kernel(matrix.kernels().expansion(), matrix.kernels().expansionName(), matrix.constants())
                .launch(
                        stream,
                        Kernel.Grid.of(((long) tiles * matrix.units() + WARPS - 1) / WARPS),
                        THREADS,
                        0,
                        to.address(),
                        matrix.address(),
                        matrix.inFeatures(),
                        first,
                        tiles,
                        interleaved ? 8 : TILE_ROWS,
                        interleaved ? 8 * tiles : 8,
                        rows);
    }

    /** Equal pieces rather than a last small one. */
    private static int tilesPerPiece(TiledMatrix matrix) {
        long bytes = 2L * matrix.tiles() * TILE_ROWS * matrix.inFeatures();
        int count = (int) ((bytes + PIECE_BYTES - 1) / PIECE_BYTES);
        int tiles = (matrix.tiles() + count - 1) / count;
        return (tiles + TILES_STEP - 1) / TILES_STEP * TILES_STEP;
    }

    @Override
    public void close() {
        expansion.synchronize();
        for (Piece piece : pieces) {
            if (piece.buffer != null) {
                piece.buffer.close();
            }
            piece.expanded.close();
            piece.used.close();
        }
        inGraphs.forEach(DeviceMemory.Buffer::close);
        placed.close();
        batchRows.close();
        expansion.close();
    }
}
