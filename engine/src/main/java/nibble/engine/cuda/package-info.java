/**
 * The CUDA backend. Bottom up:
 *
 * <ol>
 *   <li>{@code CudaLibraries} finds NVRTC and cuBLAS of whichever major version; {@code Nvrtc} and {@code Cublas} call
 * them through       {@link java.lang.foreign}; all else of the driver goes through JCuda.
 *   <li>{@code CudaDevice} is a card with its context and stream; {@code DeviceMemory} counts what is taken of it;
 *       {@code KernelCache} compiles the {@code .cu} resources beside this package and keeps them on disk;
 *     {@code Kernel} launches.
 *   <li>{@code WeightUpload} brings weights over, {@code CudaPlacedModel} keeps them there or lets them stream through.
 *   <li>{@link nibble.engine.cuda.CudaBackend} is the {@link nibble.engine.backend.Backend}; {@code CudaDecoder} the
 * graph of a decode step.
 * </ol>
 */
@NullMarked
package nibble.engine.cuda;

import org.jspecify.annotations.NullMarked;
