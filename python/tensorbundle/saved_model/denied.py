"""Operations that reach beyond the tensors that a model is given: what running an unknown model may do.

That an operation isn't here is no promise. Saving and restoring variables is not, which every model does, nor
filling a table from a text file, which every model with a vocabulary does.
"""

from __future__ import annotations

_READS, _WRITES, _LISTS = "reads files", "writes files", "lists files"
_PYTHON, _NETWORK, _DEBUG = "calls Python", "uses the network", "sends tensors to files or the network"

DENIED = {
    # The three that TensorFlow's saved_model_cli looks for.
    "ReadFile": _READS,
    "WriteFile": _WRITES,
    "PrintV2": "prints, or writes to a file",
    # Files.
    "CSVDataset": _READS,
    "CSVDatasetV2": _READS,
    "CacheDataset": _WRITES,
    "CacheDatasetV2": _WRITES,
    "CreateSummaryDbWriter": _WRITES,
    "CreateSummaryFileWriter": _WRITES,
    "DatasetToTFRecord": _WRITES,
    "DistributedSave": _WRITES,
    "ExperimentalCSVDataset": _READS,
    "ExperimentalDatasetToTFRecord": _WRITES,
    "DumpTensor": _WRITES,
    "ExperimentalLMDBDataset": _READS,
    "ExperimentalMatchingFilesDataset": _LISTS,
    "ExperimentalSqlDataset": "opens a database",
    "FileSystemSetConfiguration": "configures file systems",
    "FixedLengthRecordDataset": _READS,
    "FixedLengthRecordDatasetV2": _READS,
    "FixedLengthRecordReader": _READS,
    "FixedLengthRecordReaderV2": _READS,
    "GenerateVocabRemapping": _READS,
    "LMDBDataset": _READS,
    "LMDBReader": _READS,
    "ListSnapshotChunksDataset": _LISTS,
    "LoadAndRemapMatrix": _READS,
    "LoadDataset": _READS,
    "MatchingFiles": _LISTS,
    "MatchingFilesDataset": _LISTS,
    "SaveDataset": _WRITES,
    "SaveDatasetV2": _WRITES,
    "SnapshotChunkDataset": _READS,
    "SnapshotDataset": _WRITES,
    "SnapshotDatasetReader": _READS,
    "SnapshotDatasetV2": _WRITES,
    "SnapshotNestedDatasetReader": _READS,
    "SqlDataset": "opens a database",
    "TFRecordDataset": _READS,
    "TFRecordDatasetV2": _READS,
    "TFRecordReader": _READS,
    "TFRecordReaderV2": _READS,
    "TextLineDataset": _READS,
    "TextLineReader": _READS,
    "TextLineReaderV2": _READS,
    "WholeFileReader": _READS,
    "WholeFileReaderV2": _READS,
    # The terminal.
    "Print": "prints",
    # Python functions of the process.
    "EagerPyFunc": _PYTHON,
    "PyFunc": _PYTHON,
    "PyFuncStateless": _PYTHON,
    # The network.
    "DataServiceDataset": _NETWORK,
    "DataServiceDatasetV2": _NETWORK,
    "DataServiceDatasetV3": _NETWORK,
    "DataServiceDatasetV4": _NETWORK,
    "DebugIdentity": _DEBUG,
    "DebugIdentityV2": _DEBUG,
    "DebugIdentityV3": _DEBUG,
    "DebugNanCount": _DEBUG,
    "DebugNumericSummary": _DEBUG,
    "RegisterDataset": _NETWORK,
    "RegisterDatasetV2": _NETWORK,
    "RpcCall": _NETWORK,
    "RpcClient": _NETWORK,
    "RpcServer": _NETWORK,
    "RpcServerRegister": _NETWORK,
    "RpcServerStart": _NETWORK,
}
