// TENSORBUNDLE_EXPORT marks what a shared build of the library shows. The library is compiled with hidden visibility,
// so that it can sit in one process with TensorFlow and with other copies of itself.

#ifndef TENSORBUNDLE_EXPORT_H_
#define TENSORBUNDLE_EXPORT_H_

#define TENSORBUNDLE_EXPORT [[gnu::visibility("default")]]

#endif  // TENSORBUNDLE_EXPORT_H_
