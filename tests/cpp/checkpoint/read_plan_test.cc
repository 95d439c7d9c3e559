#include "checkpoint/read_plan.h"

#include <gtest/gtest.h>

namespace tensorbundle {
namespace {

PlannedPiece Piece(size_t request, int32_t shard, uint64_t offset, uint64_t size, bool divisible = true) {
  return {request, nullptr, {shard, offset, size, 0}, nullptr, divisible};
}

std::vector<size_t> Requests(const ReadPlan& plan) {
  std::vector<size_t> requests;
  for (const PlannedPiece& piece : plan.pieces) requests.push_back(piece.request);
  return requests;
}

TEST(PlanReads, OrdersPiecesByTheirPlaceInTheFiles) {
  const ReadPlan plan = PlanReads({Piece(0, 1, 0, 8), Piece(1, 0, 100, 8), Piece(2, 0, 4, 8), Piece(3, 1, 0, 8)});
  EXPECT_EQ(Requests(plan), (std::vector<size_t>{2, 1, 0, 3}));
  EXPECT_EQ(plan.total_bytes, 32u);
}

TEST(PlanReads, CutsALargePieceWhereWindowsOfItsShardBegin) {
  const ReadPlan plan = PlanReads({Piece(0, 0, 3 * kWindowBytes - 128, 2 * kWindowBytes)});
  ASSERT_EQ(plan.chunks.size(), 3u);
  EXPECT_EQ(plan.chunks[0].begin, 0u);
  EXPECT_EQ(plan.chunks[1].begin, 128u);
  EXPECT_EQ(plan.chunks[2].begin, 128 + kWindowBytes);
  EXPECT_EQ(plan.chunks[2].end, 2 * kWindowBytes);
  EXPECT_EQ(plan.task_begins, (std::vector<size_t>{0, 1, 2, 3}));
}

TEST(PlanReads, CutsBetweenElementsOfAPieceThatLiesAnywhere) {
  const ReadPlan plan = PlanReads({Piece(0, 0, kWindowBytes - 13, 200)});
  ASSERT_EQ(plan.chunks.size(), 2u);
  EXPECT_EQ(plan.chunks[0].end, 64u);
  EXPECT_EQ(plan.chunks[1].begin, 64u);
  EXPECT_EQ(plan.chunks[1].end, 200u);
}

TEST(PlanReads, LeavesAPieceWhoseBytesBelongTogetherWhole) {
  const ReadPlan plan = PlanReads({Piece(0, 0, 0, 5 * kWindowBytes, false)});
  ASSERT_EQ(plan.chunks.size(), 1u);
  EXPECT_EQ(plan.chunks[0].end, 5 * kWindowBytes);
}

TEST(PlanReads, PutsTheSmallPiecesOfAWindowIntoOneTask) {
  std::vector<PlannedPiece> pieces;
  for (size_t i = 0; i < 100; ++i) pieces.push_back(Piece(i, 0, kWindowBytes - 50 * 16 + 16 * i, 16));
  const ReadPlan plan = PlanReads(pieces);
  EXPECT_EQ(plan.chunks.size(), 100u);
  EXPECT_EQ(plan.task_begins, (std::vector<size_t>{0, 50, 100}));
}

TEST(PlanReads, BeginsATaskWithEachShard) {
  const ReadPlan plan = PlanReads({Piece(0, 0, 0, 16), Piece(1, 1, 0, 16)});
  EXPECT_EQ(plan.task_begins, (std::vector<size_t>{0, 1, 2}));
}

TEST(PlanReads, DividesWhatOverlapsAmongTasks) {
  const ReadPlan plan = PlanReads(std::vector<PlannedPiece>(5, Piece(0, 0, 0, kWindowBytes)));
  EXPECT_EQ(plan.num_tasks(), 5u);
}

TEST(PlanReads, CountsWhatATinyPieceCostsBesideItsBytes) {
  const ReadPlan plan = PlanReads(std::vector<PlannedPiece>(20000, Piece(0, 0, 0, 4)));
  EXPECT_EQ(plan.num_tasks(), 2u);
}

TEST(PlanReads, GivesAnEmptyPieceNoChunk) {
  const ReadPlan plan = PlanReads({Piece(0, 0, 0, 0), Piece(1, 0, 0, 4)});
  EXPECT_EQ(plan.pieces.size(), 2u);
  ASSERT_EQ(plan.chunks.size(), 1u);
  EXPECT_EQ(plan.pieces[plan.chunks[0].piece].request, 1u);
}

TEST(PlanReads, OfNothingHasNoTasks) { EXPECT_EQ(PlanReads({}).num_tasks(), 0u); }

}  // namespace
}  // namespace tensorbundle
