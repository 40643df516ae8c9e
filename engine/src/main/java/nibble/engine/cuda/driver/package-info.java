/** CUDA itself: device, streams, memory, kernels, cuBLAS and NVRTC. */
@NullMarked
package nibble.engine.cuda.driver;

import org.jspecify.annotations.NullMarked;
